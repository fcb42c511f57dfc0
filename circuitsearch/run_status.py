"""The status of a run: what it is doing, or how it ended, from its log."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from circuitsearch.errors import InputError, shortened
from circuitsearch.files import Malformed, is_locked, parse_json
from circuitsearch.run_log import LOG

MOST_LINES = 1_000_000


class Line(BaseModel):
    """A line of the log."""

    time: str
    event: str
    seconds: float
    memory: int | None = None
    stage: str | None = None
    done: int | None = None
    total: int | None = None
    took: float | None = None
    sentence: str | None = None
    process: int | None = None
    host: str | None = None
    command: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class Stage:
    """What a stage took; ``seconds`` is None where it was only read back, ``memory`` the most bytes taken until its end."""

    name: str
    seconds: float | None
    memory: int | None


@dataclass(frozen=True)
class Status:
    """What a run is doing, or how it ended.

    Attributes
    ----------
    state : str
        ``running``, ``finished``, ``stopped`` (Ctrl-C), ``failed``, or ``killed``, if it ended without a word.
    stage : str, optional
        The stage that it is in, or was.
    percent : float, optional
        Of that stage.
    seconds : float
        That all processes of the run took so far.
    left : float, optional
        Seconds that the stage takes still, if it goes on as before; of a run that is running.
    memory : int, optional
        The most bytes that any of its processes has taken.
    sentence : str, optional
        Why the last process ended early.
    command : str, optional
        What continues the run.
    process, host : int and str, optional
        The last process.
    last : str, optional
        When it last wrote.
    stages : tuple of Stage
        Those that are finished.
    """

    state: str
    stage: str | None = None
    percent: float | None = None
    seconds: float = 0.0
    left: float | None = None
    memory: int | None = None
    sentence: str | None = None
    command: str | None = None
    process: int | None = None
    host: str | None = None
    last: str | None = None
    stages: tuple[Stage, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        return asdict(self)


def status(folder: str | Path) -> Status:
    """Read the status of the run in a folder.

    Raises
    ------
    InputError
        If there is no log of a run.
    """
    file = Path(folder) / LOG
    if not file.is_file():
        raise InputError(
            f"{shortened(folder, 100)} is not the folder of a run ({LOG} is missing): give one that find, stability or bench made"
        )
    lines = list(_lines(file))
    starts = [place for place, line in enumerate(lines) if line.event == "began"]
    if not starts:
        raise InputError(f"{shortened(file, 100)} is not the log of a run: give the folder of another run")
    ours = lines[starts[-1] :]
    ends = [*(lines[place - 1].seconds for place in starts[1:]), ours[-1].seconds]
    first, last = ours[0], ours[-1]
    state = "running" if is_locked(file) else _ENDS.get(last.event, "killed")
    stage, percent, left = _stage(ours) if state != "finished" else (None, None, None)
    return Status(
        state=state,
        stage=stage,
        percent=percent,
        seconds=round(sum(ends), 3),
        left=left if state == "running" else None,
        memory=max((line.memory for line in lines if line.memory is not None), default=None),
        sentence=last.sentence,
        command=first.command or None,
        process=first.process,
        host=first.host,
        last=last.time,
        stages=_stages(lines),
    )


_ENDS = {"ended": "finished", "stopped": "stopped", "failed": "failed"}


def _lines(file: Path) -> list[Line]:
    """The lines that are whole; one that a kill cut short is left out."""
    found: list[Line] = []
    with file.open("rb") as opened:
        for number, text in enumerate(opened):
            if number >= MOST_LINES:
                break
            try:
                found.append(parse_json(text.decode(), Line))
            except (Malformed, UnicodeDecodeError):
                continue
    return found


def _stage(lines: list[Line]) -> tuple[str | None, float | None, float | None]:
    """The stage that the last process is or was in, its percent, and the seconds that it takes still."""
    started = next((line for line in reversed(lines) if line.event == "started"), None)
    if started is None:
        return None, None, None
    steps = [line for line in lines if line.event == "step" and line.stage == started.stage]
    if not steps or not steps[-1].total:
        return started.stage, None, None
    share = (steps[-1].done or 0) / steps[-1].total
    taken = steps[-1].seconds - started.seconds
    return started.stage, round(100 * share, 1), round(taken * (1 - share) / share, 1) if share else None


def _stages(lines: list[Line]) -> tuple[Stage, ...]:
    """Each stage that is finished, with what the process took that made its result."""
    found: dict[str, Stage] = {}
    for line in lines:
        if line.event != "finished" or line.stage is None:
            continue
        if line.took is not None or line.stage not in found:
            found[line.stage] = Stage(line.stage, line.took, line.memory)
    return tuple(found.values())

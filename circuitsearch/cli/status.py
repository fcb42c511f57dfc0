"""``circuitsearch status``: what a run is doing, or how it ended."""

from __future__ import annotations

from pathlib import Path

from circuitsearch.cli.terminal import Terminal
from circuitsearch.memory import in_words
from circuitsearch.run_status import Status, status


def show(folder: Path, terminal: Terminal) -> None:
    """Print the status of a run."""
    found = status(folder)
    terminal.say("state", _state(found))
    if found.stage is not None:
        terminal.say("stage", _stage(found))
    terminal.say("time", f"{_duration(found.seconds)} so far")
    if found.memory is not None:
        terminal.say("memory", f"{in_words(found.memory)} at most")
    if found.stages:
        rows = [
            (each.name, "read back" if each.seconds is None else _duration(each.seconds), _memory(each.memory))
            for each in found.stages
        ]
        terminal.table("finished stages", ("stage", " time", " memory so far"), rows)
    if found.sentence is not None:
        terminal.say("error" if found.state == "failed" else "end", found.sentence)
    if found.state not in ("running", "finished"):
        terminal.say("go on", found.command or "call the same function again, with the same folder")
    terminal.result(found.to_dict())


def _state(found: Status) -> str:
    if found.state == "running":
        return f"running, process {found.process} on {found.host}"
    return f"{found.state}, last heard of at {found.last}"


def _stage(found: Status) -> str:
    share = "" if found.percent is None else f", {found.percent:.0f}%"
    left = "" if found.left is None else f", about {_duration(found.left)} left"
    return f"{found.stage}{share}{left}"


def _memory(size: int | None) -> str:
    return "" if size is None else in_words(size)


def _duration(seconds: float) -> str:
    """Hours, minutes and seconds.

    Examples
    --------
    >>> _duration(5.25), _duration(75), _duration(7300)
    ('5.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    return f"{minutes} min {int(seconds % 60)} s" if hours < 1 else f"{hours} h {minutes % 60} min"

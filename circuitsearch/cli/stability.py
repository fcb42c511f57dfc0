"""``circuitsearch stability``: which edges of a circuit stay when it is searched for again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from circuitsearch import replication
from circuitsearch.cli import say
from circuitsearch.cli.terminal import Terminal
from circuitsearch.distributed import world
from circuitsearch.experiment import Experiment
from circuitsearch.figures import write_caption
from circuitsearch.files import write_bytes, write_whole
from circuitsearch.own_folder import own_folder
from circuitsearch.question import Question
from circuitsearch.registry import FAITHFULNESS, VARIATIONS
from circuitsearch.replication.folder import SEARCHES, Folder
from circuitsearch.replication.text import HEADER, rows, summary
from circuitsearch.run_log import logged
from circuitsearch.validation import behaviour

FIGURES = ("stability.svg", "stability.pdf", "stability.png")
SHOWN = 24  # edges in the table


def stability(
    question: Question,
    vary: tuple[str, ...],
    classes: replication.Classes,
    effects: int | None,
    out: Path | None,
    command: str,
    terminal: Terminal,
) -> None:
    """Search repeatedly, and write result, page and figures to a folder."""
    question.check()
    variations = [VARIATIONS.read(each) for each in vary]
    with own_folder(out or Path("runs") / f"stability-{question.name}", world(), SEARCHES) as own:
        _stability(question, variations, classes, effects, own, command, terminal)


def _stability(
    question: Question,
    variations: Sequence[replication.Variation],
    classes: replication.Classes,
    effects: int | None,
    out: Path,
    command: str,
    terminal: Terminal,
) -> None:
    Folder(out)  # refuses a folder of something else before the model is loaded
    model, tokenizer, task = question.load()
    say.describe_model(terminal, model, question)
    say.note(terminal, task)
    experiment = Experiment.of(model, task, **question.settings)
    measured = behaviour(experiment, task, tokenizer=tokenizer)
    say.behaviour(terminal, measured)
    measured.check()
    experiment.evaluator.release()
    discover = replication.Find(question.refine, FAITHFULNESS.read(question.faithfulness_of))
    with terminal.progress("searches") as bar, logged(out, command, "searches", bar) as progress:
        found = replication.stability(
            experiment, task, question.faithfulness, vary=variations or None, method=question.method_asked,
            discover=discover, classes=classes, effects=effects, out=out, progress=progress,
        )  # fmt: skip
    _write(found, out)
    _say(found, out, terminal)
    terminal.result({"folder": str(out), **found.to_dict()})


def _write(found: replication.Stability, out: Path) -> None:
    write_whole(out / "stability.json", found.save)
    write_bytes(out / "stability.md", found.to_markdown().encode())
    for name in FIGURES if found.edges else ():
        write_whole(out / name, found.draw)
    if found.edges:
        write_caption(out / FIGURES[0], found.caption)


def _say(found: replication.Stability, out: Path, terminal: Terminal) -> None:
    for name, text in summary(found)[1:]:
        terminal.say(name, text)
    more = len(found.edges) - SHOWN
    terminal.table("edges, the most often found first", HEADER, rows(found.edges[:SHOWN]))
    terminal.say(
        "folder", f"{out}/ (figure: stability.svg, {f'{more} more edges' if more > 0 else 'edges'}: stability.md)"
    )

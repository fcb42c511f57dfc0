"""Whether a folder is a valid submission to MIB's circuit track, by the rules of its README and of its backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from circuitsearch.errors import InputError, shortened
from circuitsearch.formats.eap_graph import Config, EAPContent
from circuitsearch.formats.eap_json import read_eap_json
from circuitsearch.formats.eap_pt import read_eap_pt
from circuitsearch.formats.mib_cells import (
    FEWEST,
    MODELS,
    MOST_BYTES,
    PERCENTAGES,
    SUFFIXES,
    TASKS,
    cell_of,
)
from circuitsearch.graph import Graph

ABSOLUTE = ("true", "false")  # folders of a cell, by whether edges are ranked by magnitude


@dataclass(frozen=True)
class Problem:
    """What is wrong with a submission, and in which file; a warning does not make it invalid."""

    path: Path
    sentence: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{'warning: ' if self.warning else ''}{self.path}: {self.sentence}"


def mib_problems(folder: str | Path, others: Mapping[str, Config] | None = None) -> tuple[Problem, ...]:
    """What is wrong with a folder that is to be submitted to MIB at the level of edges; empty if all is well.

    ``others`` are models beside MIB's own, by the name in their folders, for those who run its code on them: the leaderboard takes none.

    Raises
    ------
    InputError
        If it is no folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(
            f"{shortened(folder, 100)} is not a folder: give the one that holds a folder for each task and model"
        )
    models = MODELS | dict(others or {})
    cells = sorted(path for path in root.iterdir() if path.is_dir())
    named = {path: cell_of(path.name, models) for path in cells}
    known = [cell for cell in named.values() if cell is not None]
    own = (problem for path, cell in named.items() for problem in _of_cell(path, cell, models))
    return (*_of_root(root, known), *own)


def _of_root(root: Path, cells: list[tuple[str, str]]) -> Iterator[Problem]:
    tasks, models = {task for task, _ in cells}, {model for _, model in cells}
    for kind, found in (("tasks", tasks), ("models", models)):
        if len(found) < FEWEST:
            yield Problem(root, f"it has {len(found)} {kind}, and a submission has circuits of at least {FEWEST}")
    if "interpbench" not in models:
        yield Problem(root, "it has no circuit of InterpBench, whose score will be missing", warning=True)
    twice = sorted({cell for cell in cells if cells.count(cell) > 1})
    for task, model in twice:
        yield Problem(root, f"two folders are of {task} and {model}: leave one out")


def _of_cell(path: Path, cell: tuple[str, str] | None, models: Mapping[str, Config]) -> Iterator[Problem]:
    if cell is None:
        yield Problem(
            path, f"its name must have a task ({', '.join(TASKS)}) and a model ({', '.join(MODELS)}), as in ioi_gpt2"
        )
        return
    task, model = cell
    if model not in MODELS:
        yield Problem(path, f"{model} is none of MIB's models, and its leaderboard does not take it", warning=True)
    elif model not in TASKS[task]:
        yield Problem(path, f"MIB has no {task} on {model}: there is {', '.join(TASKS[task])}")
        return
    for place in _places(path):
        yield from _of_files(place, models[model])


def _places(cell: Path) -> list[Path]:
    """The folders that hold files: the cell's own, or those of its two rankings, abs/True and abs/False."""
    ranked = [path for path in (cell / "abs").glob("*") if path.is_dir() and path.name.lower() in ABSOLUTE]
    return sorted(ranked) or [cell]


def _of_files(place: Path, config: Config) -> Iterator[Problem]:
    files = sorted(path for path in place.iterdir() if path.is_file())
    graphs = [path for path in files if path.suffix in SUFFIXES]
    yield from _of_names_and_sizes(files)
    if len(graphs) not in (1, len(PERCENTAGES)):
        wanted = f"a cell has one with scores or {len(PERCENTAGES)} with circuits"
        yield Problem(place, f"it has {len(graphs)} files .json or .pt, and {wanted}")
        return
    contents, problems = _contents(graphs)
    yield from problems
    yield from (problem for path, content in contents.items() for problem in _of_graph(path, content.config, config))
    if len(graphs) == 1:
        yield from (problem for path, content in contents.items() for problem in _of_scores(path, content))
    elif len(contents) == len(graphs):
        yield from _of_sizes(contents)


def _of_names_and_sizes(files: list[Path]) -> Iterator[Problem]:
    for path in files:
        size = path.stat().st_size
        if path.suffix in SUFFIXES and size > MOST_BYTES:
            limit = f"files over {MOST_BYTES // 10**6} MB are skipped: write .pt"
            yield Problem(path, f"it has {size / 1e6:.0f} MB, and {limit}")
        if path.suffix not in SUFFIXES and not path.name.startswith("."):
            yield Problem(path, "it is neither .json nor .pt, and is not read", warning=True)


def _contents(graphs: list[Path]) -> tuple[dict[Path, EAPContent], list[Problem]]:
    """What the files hold, and which cannot be read."""
    contents: dict[Path, EAPContent] = {}
    problems: list[Problem] = []
    for path in graphs:
        try:
            contents[path] = _read(path)
        except InputError as problem:
            problems.append(Problem(path, str(problem)))
    return contents, problems


def _read(path: Path) -> EAPContent:
    return read_eap_pt(path, None) if path.suffix == ".pt" else read_eap_json(path, None)


def _of_graph(path: Path, found: Config, config: Config) -> Iterator[Problem]:
    if found.shape != config.shape:
        yield Problem(path, f"it is of {found.shape}, and the folder's model has {config.shape}")
    if found.d_model != config.d_model:
        yield Problem(path, f"its cfg has d_model {found.d_model}, and the folder's model has {config.d_model}")


def _of_scores(path: Path, content: EAPContent) -> Iterator[Problem]:
    scores = content.scores[content.graph.mask]
    unscored = int(scores.isnan().sum())
    if unscored:
        yield Problem(path, f"{unscored} of {len(scores)} edges have no score: every edge needs one")
    elif not scores.any():
        yield Problem(path, "every score is 0: circuits cannot be chosen by them")


def _of_sizes(contents: dict[Path, EAPContent]) -> Iterator[Problem]:
    """The circuits of a cell, smallest first, against the largest size that each may have."""
    ordered = sorted(contents.items(), key=lambda each: int(each[1].mask.sum()))
    for (path, content), percent in zip(ordered, PERCENTAGES, strict=True):
        n_edges, most = int(content.mask.sum()), _most(content.graph, percent)
        if n_edges > most:
            yield Problem(path, f"it has {n_edges} edges, and the circuit of {percent:g}% at most {most}")
        elif n_edges == 0:
            yield Problem(path, f"no edge is in its circuit, of {percent:g}%")


def _most(graph: Graph, percent: float) -> int:
    return int(graph.n_edges * percent / 100)

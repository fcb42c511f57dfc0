"""``circuitsearch draw``: a circuit as a figure, with all that its run folder knows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from circuitsearch import figures
from circuitsearch.budget import load_in
from circuitsearch.circuit import Circuit
from circuitsearch.cli.asked import AskedRun, given
from circuitsearch.cli.beside import results_beside, roles_beside, run_of
from circuitsearch.cli.terminal import Terminal
from circuitsearch.cli.verbs import check_writable
from circuitsearch.errors import InputError, shortened
from circuitsearch.figures.canvas import FORMATS, suffix_of
from circuitsearch.figures.caption import comparison_caption
from circuitsearch.figures.diagram import Options, Size, draw_circuit
from circuitsearch.figures.viewer import Evidence, draw_page
from circuitsearch.files import write_whole
from circuitsearch.instruments.prompts import prompt_alone
from circuitsearch.page import example_prompt
from circuitsearch.replication import Stability
from circuitsearch.roles import roles_of
from circuitsearch.run import circuit_at, with_scores
from circuitsearch.text import encode

PAGE_HEIGHT = 9.0  # inches that the venues' pages are high, about


@dataclass(frozen=True)
class Drawing:
    """What to draw of a circuit, and how."""

    circuit: Path
    out: Path
    top: int | None = None
    roles: Path | None = None
    no_roles: bool = False
    labels: str = "a9.h9"
    highlight: tuple[str, ...] = ()
    title: str = ""
    captioned: bool = False
    example: bool = False
    prompt: str | None = None
    insets: tuple[str, ...] = ()
    stability: Path | None = None
    model: str | None = None
    memory: str | None = None
    theme: str = "light"
    width: str | None = None

    @cached_property
    def whole(self) -> Circuit:
        """The circuit."""
        return circuit_at(self.circuit)

    def part(self, circuit: Circuit) -> Circuit:
        """What is drawn of a circuit."""
        return circuit if self.top is None else circuit.strongest_on_paths(self.top)

    @property
    def roles_file(self) -> Path | None:
        """The roles that are given, or else those of the run."""
        return None if self.no_roles else self.roles or roles_beside(self.circuit)

    def options(self, drawn: Circuit, caption: str) -> Options:
        """Options of the drawing functions; the model is run if an example or insets are asked for."""
        example = _example(self, drawn) if self.example or self.prompt or self.insets else None
        found: Options = {
            "title": self.title, "highlight": self.highlight, "roles": self.roles_file, "labels": self.labels,
            "theme": self.theme, "width": self.width, "caption": caption if self.captioned else "",
        }  # fmt: skip
        if example is not None and self.insets:
            heads = [drawn.graph.writers[drawn.graph.find_writer(name)] for name in self.insets]
            found |= {"insets": {head: _pattern(example, head) for head in heads}, "tokens": example.tokens}
        return found | {"example": example} if self.example or self.prompt else found


def draw(drawing: Drawing, terminal: Terminal) -> None:
    """Draw a circuit; its caption, with the numbers of its run, goes to files beside the figure."""
    check_writable(drawing.out)
    found, beside = drawing.part(drawing.whole), results_beside(drawing.circuit)
    if suffix_of(drawing.out, (*FORMATS, "dot", "html")) == "html":
        shown = known_roles(found, drawing.roles_file)
        scored = with_scores(found, run_of(drawing.circuit) or drawing.circuit)
        write_whole(drawing.out, lambda path: draw_page(scored, path, evidence=shown, **beside))
        _say(f"{len(found)} of {found.graph.n_edges} edges", drawing, None, terminal)
    else:
        caption = _caption(found, drawing.whole, beside)
        inclusion = None if drawing.stability is None else _inclusion(drawing.stability, found)
        options = drawing.options(found, caption)
        size = _written(drawing.out, lambda path: draw_circuit(found, path, inclusion=inclusion, **options))
        figures.write_caption(drawing.out, caption)
        _say(f"{len(found)} of {found.graph.n_edges} edges", drawing, size, terminal)
    terminal.result({"out": str(drawing.out), "n_edges": len(found)})


def draw_against(drawing: Drawing, other: Path, terminal: Terminal) -> None:
    """Draw two circuits in one figure; their names are their methods, or else their paths."""
    check_writable(drawing.out)
    first, second = drawing.part(drawing.whole), drawing.part(circuit_at(other))
    paths = (drawing.circuit, other)
    one, two = (results_beside(path).get("method", "") for path in paths)
    names = (one, two) if one and two and one != two else (str(drawing.circuit), str(other))
    caption = comparison_caption(first, second, names)
    options = drawing.options(first, caption)
    size = _written(drawing.out, lambda path: figures.draw_comparison(first, second, path, names=names, **options))
    figures.write_caption(drawing.out, caption)
    shared = int((first.mask & second.mask).sum())
    _say(f"{len(first)} and {len(second)} edges, {shared} of them shared,", drawing, size, terminal)
    terminal.result({"out": str(drawing.out), "n_edges": [len(first), len(second)], "n_shared": shared})


def _written(out: Path, draw: Any) -> Size | None:
    sizes: list[Size | None] = []
    write_whole(out, lambda path: sizes.append(draw(path)))
    return sizes[0]


def _say(what: str, drawing: Drawing, size: Size | None, terminal: Terminal) -> None:
    inches = "" if size is None else f", {size[0]:.1f} by {size[1]:.1f} inches"
    terminal.say("figure", f"{what} drawn in {drawing.out}{inches}")
    if size is not None:
        caption = ", ".join(figures.caption_files(drawing.out, ""))
        terminal.say("caption", f"{caption}, beside it")
    if size is not None and size[1] > PAGE_HEIGHT:
        terminal.say(
            "note", f"it is higher than a page, about {PAGE_HEIGHT:g} inches: --top draws the strongest edges only"
        )


# ---- what is beside the circuit


def _folder(circuit: Path) -> Path:
    return circuit if circuit.is_dir() else circuit.parent


def known_roles(circuit: Circuit, file: Path | None) -> Evidence:
    """What a page shows of a circuit whose model is not run: the roles that a file has."""
    return Evidence(roles={node: (role,) for node, role in roles_of(circuit, file).items()})


def _caption(drawn: Circuit, whole: Circuit, beside: dict[str, Any]) -> str:
    """The caption; evidence is about the whole circuit, even if only a part of it is drawn."""
    caption = figures.caption_for(whole, beside.get("report"), model=beside.get("model"))
    return caption if len(drawn) == len(whole) else f"{caption} Drawn: its {len(drawn):,} strongest edges on paths."


def _inclusion(path: Path, circuit: Circuit) -> Any:
    """How often repeated searches found each edge, from the file or folder of a stability analysis."""
    found = Stability.load(path / "stability.json" if path.is_dir() else path)
    if found.graph != circuit.graph:
        raise InputError(
            f"{shortened(path)} is of {found.graph}, and the circuit of {circuit.graph}: give one of the same model"
        )
    return found.inclusion


# ---- the example, for which the model is run


def _example(drawing: Drawing, drawn: Circuit) -> figures.ExamplePrompt:
    """The prompt that is given, or else the run's first held-out one."""
    if drawing.prompt is not None:
        return _given(drawing, drawing.prompt, drawn)
    run = AskedRun.read(
        _folder(drawing.circuit), given(model=drawing.model, memory=drawing.memory), "--prompt, with --model"
    )
    model, tokenizer = run.question.load_model()
    return example_prompt(model, run.held_out(tokenizer), drawn, tokenizer=tokenizer)


def _given(drawing: Drawing, prompt: str, drawn: Circuit) -> figures.ExamplePrompt:
    """A prompt, with the token that the model finds the likeliest."""
    if drawing.model is None:
        raise InputError("--prompt is run on the model: give its name or folder with --model")
    model, tokenizer = load_in(drawing.memory, drawing.model, "cpu")
    task, _ = prompt_alone(model, encode(tokenizer, prompt))
    return example_prompt(model, task, drawn, tokenizer=tokenizer)


def _pattern(example: figures.ExamplePrompt, node: str) -> Any:
    head = node.partition("@")[0]
    if head not in example.patterns:
        raise InputError(
            f"--insets takes heads of the circuit that are drawn, {', '.join(list(example.patterns)[:8])} ..., not {node!r}"
        )
    return example.patterns[head]

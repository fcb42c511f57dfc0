"""``circuitsearch library``: the commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from circuitsearch.cli import options
from circuitsearch.cli.group import Verbs
from circuitsearch.cli.terminal import Terminal

if TYPE_CHECKING:
    from circuitsearch.library import Conditions

At = Annotated[Path, typer.Option("--library", help="The library's file.")]
Ids = Annotated[str | None, typer.Option(help="Numbers of circuits, as in 3,4,7.", show_default=False)]
OfModel = Annotated[
    str | None,
    typer.Option("--model", help="The model's name, or 8 digits or more of its weights' digest.", show_default=False),
]
OfTask = Annotated[str | None, typer.Option("--task", help="The task's name.", show_default=False)]
Head = Annotated[
    str | None,
    typer.Option(
        "--head",
        "--node",
        help="A node in any spelling: 9.9, L9H9, a9.h9, m3, logits; a port: 'a9.h9<q>'.",
        show_default=False,
    ),
]
EdgeName = Annotated[
    str | None,
    typer.Option("--edge", help="An edge: 'a18.h6->logits', '9.6->10.0', 'a0.h1->a2.h3<q>'.", show_default=False),
]
Role = Annotated[str | None, typer.Option(help="Words of a node's role; with --head, of this one.", show_default=False)]
Size = Annotated[str | None, typer.Option(help="Number of edges: 10..50, 10.. or ..50.", show_default=False)]
Faithful = Annotated[str | None, typer.Option(help="Faithfulness: 0.9..1.1, 0.9.. or ..1.", show_default=False)]
Low = Annotated[float | None, typer.Option(help="The least low end of the faithfulness interval.", show_default=False)]

library_app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Keep circuits in one file; search, compare and export them.",
)


@library_app.callback()
def library() -> None:
    """Keep circuits in one file; search, compare and export them."""


@library_app.command()
def add(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folders, or files of circuits, of this or another program."),
    ],
    at: At = options.LIBRARY,
    model: Annotated[str, typer.Option(help="The model's name; by default the run's.", show_default=False)] = "",
    task: Annotated[str, typer.Option(help="The task's name; by default the run's.", show_default=False)] = "",
    roles: Annotated[
        Path | None, typer.Option(help="Roles of nodes: a JSON file; by default those of the run.", show_default=False)
    ] = None,
    of: Annotated[
        str | None,
        typer.Option(
            help="A model to load, for files of other programs that do not have its shape.", show_default=False
        ),
    ] = None,
    sign: options.Sign = None,
    json: options.Json = False,
) -> None:
    """Add runs and circuits. The same circuit added twice is one entry.

    A run that gained a report, roles or a page since it was added is added again in the same way. Files of EAP-IG, auto-circuit, ACDC,
    Edge Pruning and others are read as by convert.
    """
    from circuitsearch.cli.library_verbs import add

    add(at, sources, model, task, roles, of, sign, Terminal(json))


@library_app.command()
def remove(
    ids: Annotated[
        list[int], typer.Argument(metavar="ID...", help="Numbers of circuits, as 'library list' prints them.")
    ],
    at: At = options.LIBRARY,
    json: options.Json = False,
) -> None:
    """Remove circuits from the library; the run folders that were added stay.

    If one of the numbers is unknown, none is removed.
    """
    from circuitsearch.cli.library_verbs import remove

    remove(at, ids, Terminal(json))


@library_app.command("list")
def list_circuits(
    at: At = options.LIBRARY,
    model: OfModel = None,
    task: OfTask = None,
    size: Size = None,
    faithfulness: Faithful = None,
    low: Low = None,
    json: options.Json = False,
) -> None:
    """List the circuits."""
    from circuitsearch.cli.library_verbs import show

    show(at, _conditions(model=model, task=task, size=size, faithfulness=faithfulness, low=low), Terminal(json))


@library_app.command()
def search(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[WORDS]", help="Words of the report, the roles, or about the task.")
    ] = None,
    *,
    at: At = options.LIBRARY,
    model: OfModel = None,
    task: OfTask = None,
    head: Head = None,
    edge: EdgeName = None,
    role: Role = None,
    size: Size = None,
    faithfulness: Faithful = None,
    low: Low = None,
    json: options.Json = False,
) -> None:
    """Find circuits, and print how they use the node or the edge that is asked for.

    A circuit must fit all that is given. For a node its role is printed, and the edges into it and out of it with what each brings to
    the circuit.
    """
    from circuitsearch.cli.library_verbs import search

    asked = _conditions(
        model=model, task=task, head=head, edge=edge, role=role, size=size, faithfulness=faithfulness, low=low
    )  # fmt: skip
    search(at, " ".join(words or ()), asked, Terminal(json))


@library_app.command()
def compare(
    at: At = options.LIBRARY,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="Write heatmap.svg, smaller.svg, tree.svg, heads.csv and compare.json to this folder."
        ),
    ] = None,
    ids: Ids = None,
    model: OfModel = None,
    task: OfTask = None,
    form: Annotated[str, typer.Option("--format", help="Of the figures: svg, pdf, png or tex.")] = "svg",
    theme: Annotated[str, typer.Option(help="light or dark.")] = "light",
    least: Annotated[int, typer.Option(min=1, help="Print nodes that at least so many circuits use.")] = 2,
    json: options.Json = False,
) -> None:
    """Compare the circuits of one model: how much they overlap, and what the same head does in each.

    Overlap is the share of edges that two circuits have in common, of the edges of either (Jaccard index) and of the smaller one's.
    """
    from circuitsearch.cli.library_verbs import compare

    compare(at, _conditions(ids=_numbers(ids), model=model, task=task), out, form, theme, least, Terminal(json))


@library_app.command()
def export(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="A .json, .csv or .parquet file; or a new folder, for run folders.")
    ],
    at: At = options.LIBRARY,
    ids: Ids = None,
    model: OfModel = None,
    task: OfTask = None,
    size: Size = None,
    faithfulness: Faithful = None,
    json: options.Json = False,
) -> None:
    """Write circuits as a table, as JSON with their edges, or as the run folders that were added."""
    from circuitsearch.cli.library_verbs import export

    asked = _conditions(ids=_numbers(ids), model=model, task=task, size=size, faithfulness=faithfulness)
    export(at, out, asked, Terminal(json))


@library_app.command()
def page(
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write.")] = Path("library.html"),
    at: At = options.LIBRARY,
    ids: Ids = None,
    model: OfModel = None,
    task: OfTask = None,
    json: options.Json = False,
) -> None:
    """Write a page with filters, a search and the overlap of the circuits of each model: one HTML file."""
    from circuitsearch.cli.library_verbs import page

    page(at, out, _conditions(ids=_numbers(ids), model=model, task=task), Terminal(json))


def _conditions(**given: Any) -> Conditions:
    """Those that are given."""
    return {name: value for name, value in given.items() if value is not None}  # pyright: ignore[reportReturnType]


def _numbers(text: str | None) -> tuple[int, ...] | None:
    from circuitsearch.errors import InputError, shortened

    numbers = [] if text is None else [each.strip() for each in text.split(",")]
    if not all(each.isdecimal() and len(each) < 16 for each in numbers):
        raise InputError(f"--ids takes numbers of circuits, as in 3,4,7, not {shortened(repr(text))}")
    return tuple(map(int, numbers)) or None

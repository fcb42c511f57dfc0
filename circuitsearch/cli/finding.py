"""The commands that find circuits, with their options: find, score, stability."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from circuitsearch.cli import options
from circuitsearch.cli.terminal import Terminal
from circuitsearch.errors import InputError


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
    memory: options.Memory = None,
    again: Annotated[
        Path | None,
        typer.Option("--from", help="Run a manifest.json again; --out, --model, --device, --memory may go with it."),
    ] = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
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
        given = options.given(context)
        extra = given - {
            "again",
            "out",
            "overwrite",
            "library",
            "model",
            "device",
            "memory",
            "verbose",
            "quiet",
            "json",
        }
        if extra:
            raise InputError(f"--from takes its settings from the manifest: leave out {', '.join(sorted(extra))}")
        changed = {
            name: value for name, value in (("model", model), ("device", device), ("memory", memory)) if name in given
        }
        find_again(again, out, changed, overwrite, library, context.obj, Terminal(json, quiet, verbose))
    else:
        nodes = granularity_asked(spans, positions, merge_heads, query_heads, neurons, experts)
        question = Question(
            task=task, prompt=options.one_prompt(clean, corrupt, answer, wrong), align=align, model=model, n=n, seed=seed,
            method=method, ablation=ablation, metric=metric, faithfulness=faithfulness, faithfulness_of=faithfulness_of, recheck=recheck, passes=passes,
            starts=tuple(start or ()), checks=tuple(check or ()), complete=complete, granularity=nodes,
            device=device, dtype=dtype, memory=memory,
            reading=options.reading(column, corrupt_file, chat),
        )  # fmt: skip
        find(question, out, overwrite, minutes, library, context.obj, Terminal(json, quiet, verbose))


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
    memory: options.Memory = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
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
        memory=memory, reading=options.reading(column, corrupt_file, chat),
    )  # fmt: skip
    score(question, out, Terminal(json, quiet, verbose))


def stability(
    context: typer.Context,
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
    memory: options.Memory = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
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
        dtype=dtype, memory=memory,
        reading=options.reading(column, corrupt_file, chat),
    )  # fmt: skip
    stability(
        question, tuple(vary or ()), Classes(core, optional), effects, out, context.obj, Terminal(json, quiet, verbose)
    )

"""Command lines that are wrong: each must be refused by one sentence on standard error, with exit code 2."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from circuitsearch.circuit import Circuit
from circuitsearch.cli import main
from circuitsearch.graph import Graph

from .files import sentence
from .made import made
from .watch import Outcome, Wrong, watched

Command = tuple[str, ...]

LONG = "x" * 100_000
BASES: dict[str, Command] = {
    "find": ("find", "{task}", "--model", "{tiny}"),
    "score": ("score", "{task}", "--model", "{tiny}"),
    "validate": ("validate", "{run}", "{task}", "--model", "{tiny}"),
    "draw": ("draw", "{run}"),
    "convert": ("convert", "{run}", "x.gexf"),
    "judge": ("judge", "{run}", "--task", "{task}", "--model", "{tiny}"),
    "inspect": ("inspect", "patch", "--task", "{task}", "--model", "{tiny}"),
    "view": ("view", "{run}", "--no-open"),
    "doctor": ("doctor", "--model", "{tiny}"),
}
MODEL_VERBS = ("find", "score", "validate", "inspect", "doctor")
TASK_VERBS = ("find", "score", "validate", "inspect")
SCORE_VERBS = ("find", "score")
CIRCUIT_VERBS = ("draw", "convert", "validate", "judge")

# option: the verbs that have it, and values that are wrong for each of them
VALUES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "--n": (TASK_VERBS, ("0", "-4", "x", "1.5", "", "nan", "17", "1000000000000", "9" * 30)),
    "--seed": (TASK_VERBS, ("-1", "x", "1.5", "9" * 5000)),
    "--metric": (TASK_VERBS, ("logit_dif", "", "os.system", "accuracy()()", LONG)),
    "--device": (MODEL_VERBS, ("cpuu", "", "cuda:99", "cuda:-1", "meta", LONG)),
    "--dtype": (MODEL_VERBS, ("float23", "", "int8", "torch.float32x")),
    "--model": (MODEL_VERBS, ("./nowhere", "{task}", "{folder}", "{text}", "a/b/c", "", "{run}", "x" * 300, "a\0b", "\udcff")),
    "--method": (
        SCORE_VERBS,
        (
            "", "epa", "EAPIG(", "EAPIG(steps=0)", "EAPIG(steps=1.5)", "EAPIG(steps='x')", "EAPIG(stepz=3)", "EAPIG()()",
            "__import__('os').getcwd()", "EAPIG(steps=10**9**9)", "[1]", "1", "EAPIG(5, 5, 5)", "(" * 5000, LONG, "\udcff",
        ),
    ),
    "--ablation": (("find", "score", "validate"), ("meen", "", "mean(over=3)", "Mean(1, 2, 3)", "Zero(1)", "mean(", LONG)),
    "--spans": (SCORE_VERBS, ("", "S,S", "rest", "a b", "@", "nope", "\udcff", LONG)),
    "--positions": (SCORE_VERBS, ("-1", "x", "7", "1000000000000", "9" * 5000)),
    "--neurons": (SCORE_VERBS, ("x", "-1", "99", "0,,1", "1.5", "", "9" * 5000)),
    "--faithfulness": (("find",), ("0", "-0.5", "1.01", "nan", "inf", "x", "1e999", "")),
    "--recheck": (("find",), ("inf", "nan", "-1", "x", "1e999", "")),
    "--length": (("doctor",), ("0", "-1", "x", "9" * 5000)),
    "--site": (("inspect",), ("steam", "", LONG)),
    "--heads": (("inspect",), ("a0.h0", "", "a9.h9")),
    "--theme": (("draw",), ("drak", "", LONG)),
    "--width": (("draw",), ("huge", "0", "-1", "nan", "inf", "1e999", "", LONG)),
    "--top": (("draw",), ("0", "-1", "x", "1.5")),
    "--roles": (("draw", "convert"), ("gone.json", "{folder}", "{text}", "{binary}", "{run}/circuit.json", "{task}", "/dev/zero")),
    "--against": (("draw",), ("gone.json", "{folder}", "{task}", "{other}", "{binary}", "/dev/zero")),
}  # fmt: skip

# where results go: values that are wrong for each verb
PLACES: dict[str, tuple[str, ...]] = {
    "find": ("{task}", "{task}/x", "/proc/x", "{full}", "x" * 300, "a\0b"),
    "score": ("no/such/x.safetensors", "{folder}", "/proc/x.safetensors", "x" * 300, "a\0b", ""),
    "validate": ("no/such/x.json", "{folder}", "/proc/x.json", "x" * 300, "a\0b", ""),
    "draw": ("x.gif", "x", "no/such/x.svg", "{folder}", "/proc/x.svg", f"{'x' * 300}.svg", "a\0b.svg", ""),
    "convert": ("x.gif", "x.svg", "x", "no/such/x.gexf", "/proc/x.gexf", f"{'x' * 300}.gexf", "a\0b.gexf", ""),
    "judge": ("{task}", "{task}/x", "/proc/x", "{full}", "x" * 300, "a\0b"),
    "inspect": ("{task}", "{task}/x", "/proc/x", "x" * 300, "a\0b"),
}
TASKS = (
    "iio",
    "",
    "gone.jsonl",
    "{folder}",
    "{binary}",
    "{text}",
    "{empty}",
    "{run}/circuit.json",
    LONG,
    "a\0b",
    "/dev/zero",
)
CIRCUITS = (
    "gone.json",
    "",
    "{folder}",
    "{task}",
    "{binary}",
    "{run}/report.json",
    "{run}/scores.safetensors",
    "/dev/zero",
    LONG,
)

OTHERS: tuple[Command, ...] = (
    ("fnd",), ("",), (LONG,), ("--nothing",), ("find",), ("find", "ioi", "too", "many"), ("score",), ("validate",),
    ("validate", "{run}"), ("draw",), ("convert",), ("convert", "{run}"), ("inspect",), ("inspect", "patch"), ("view",),
    ("inspect", "telepathy", "--task", "{task}"), ("inspect", "", "--task", "{task}"), ("tasks", "more"), ("models", "more"),
    ("doctor", "more"), ("tasks", "--n", "3"), ("find", "{task}", "--model"), ("find", "--from"),
    ("find", "--from", "gone.json"), ("find", "--from", "{run}/circuit.json"), ("find", "--from", "{folder}"),
    ("find", "ioi", "--from", "{run}/manifest.json"), ("find", "--from", "{run}/manifest.json", "--n", "3"),
    ("find", "--from", "{run}/manifest.json", "--seed", "3"), ("find", "--from", "{huge}"),
    ("find", "--from", "{run}/manifest.json", "--model", "{folder}"),
    (*BASES["find"], "--positions", "6", "--spans", "S"), (*BASES["score"], "--positions", "6", "--spans", "S"),
    ("score", "ioi", "--n", "1000000000000"), ("find", "ioi", "--n", "1000000000000"), ("score", "ioi", "--n", "9" * 30),
    ("inspect", "patch", "--task", "ioi", "--n", "1000000000000"), ("score", "ioi", "--seed", "9" * 5000),
    (*BASES["find"], "--experts"), (*BASES["score"], "--experts"), (*BASES["find"], "--modle", "pico"),
    (*BASES["find"], "--metric", "accuracy"), (*BASES["score"], "--metric", "accuracy", "--method", "eap"),
    ("find", "ioi", "--model", "{tiny}"), ("score", "ioi", "--model", "{tiny}"), ("validate", "{run}", "ioi", "--model", "{tiny}"),
    ("validate", "{run}", "ioi"), ("validate", "{other}", "{task}", "--model", "{tiny}"),
    (*BASES["validate"], "--ablation", "zero"), (*BASES["validate"], "--metric", "prob_diff"),
    (*BASES["validate"], "--spans", "S"), (*BASES["draw"], "--against", "{other}", "--top", "0"), ("view", "gone"),
    ("view", "{folder}"), ("view", "{task}"), ("view", "{run}", "gone", "--no-open"), ("view", "{binary}"),
    ("view", "{run}", "{run}", "--no-open", "--out", "/proc/x.html"), ("view", "{run}", "{run}", "--no-open", "--out", "{folder}"),
    ("inspect", "patch", "--task", "{task}", "--prompt", "x"), ("inspect", "patch", "--prompt", "x"),
    ("inspect", "patch", "--prompt", "x", "--corrupt", "y", "--answer", "z"), ("inspect", "dla", "--task", "{task}", "--noising"),
    ("inspect", "patch", "--prompt", "Mary", "--corrupt", "Mary and", "--answer", " a", "--wrong", " b"),
    ("inspect", "patch", "--prompt", "", "--corrupt", "", "--answer", "", "--wrong", ""),
    ("inspect", "logit-lens", "--task", "{task}", "--model", "{tiny}", "--translator", "gone"),
    ("inspect", "logit-lens", "--task", "{task}", "--model", "{tiny}", "--translator", "{binary}"),
    ("inspect", "logit-lens", "--task", "{task}", "--model", "{tiny}", "--translator", "{run}/scores.safetensors"),
    ("inspect", "logit-lens", "--task", "{task}", "--model", "{tiny}", "--spans", "nope"),
    ("inspect", "trace", "--task", "{task}", "--model", "{tiny}", "--noise", "nan"),
    ("inspect", "trace", "--task", "{task}", "--model", "{tiny}", "--noise", "-1"),
    ("inspect", "trace", "--task", "{task}", "--model", "{tiny}", "--window", "0"),
    ("inspect", "trace", "--task", "{task}", "--model", "{tiny}", "--seeds", "0"),
    ("inspect", "trace", "--task", "{task}", "--model", "{tiny}", "--subject", "nope"),
    ("inspect", "heads", "--task", "{task}", "--model", "{tiny}", "--shuffles", "-1"),
    ("inspect", "attention", "--task", "{task}", "--model", "{tiny}", "--heads", "a9.h9"),
    ("inspect", "attention", "--task", "{task}", "--model", "{tiny}", "--heads", ""),
    ("inspect", "attention", "--task", "{task}", "--said-twice"),
    ("judge", "{run}/scores.safetensors", "--task", "{task}", "--model", "{tiny}"), (*BASES["judge"], "--sign", "up"),
    (*BASES["judge"], "--edges", "0"), (*BASES["convert"], "--sign", "up"), ("convert", "{run}", "x.json"),
    ("convert", "{run}", "x.json", "--to", "eap-ig"), ("convert", "{run}", "x.json", "--to", "eap"), ("convert", "{run}", "x.pt", "--to", "neuronpedia"),
    ("convert", "{run}", "x.json", "--to", "neuronpedia"), ("convert", "{run}", "x", "--to", "mib"), ("convert", "{run}", "x", "--to", "mib(task='ioi', model='gpt2')"),
    ("mib", "check", "gone"), ("mib", "check", "{task}"), ("mib",), ("mib", "chekc"), ("neuronpedia", "check", "gone.json"),
    ("neuronpedia", "check", "{folder}"), ("neuronpedia", "check", "/dev/zero"),
)  # fmt: skip


def commands() -> Iterator[Command]:
    """All of them, with names of files still in braces."""
    for option, (verbs, values) in VALUES.items():
        yield from ((*BASES[verb], option, value) for verb in verbs for value in values)
    for verb, places in PLACES.items():
        before = BASES[verb][:2] if verb == "convert" else (*BASES[verb], "--out")
        yield from ((*before, place) for place in places)
    yield from ((verb, task, "--model", "{tiny}") for verb in SCORE_VERBS for task in TASKS)
    yield from (("validate", "{run}", task, "--model", "{tiny}") for task in TASKS)
    yield from (("inspect", "patch", "--task", task, "--model", "{tiny}") for task in TASKS)
    yield from ((verb, circuit, *BASES[verb][2:]) for verb in CIRCUIT_VERBS for circuit in CIRCUITS)
    yield from ((*base, "--nothing") for base in BASES.values())
    yield from OTHERS


def wrong_commands(only: str | None = None) -> Iterator[tuple[str, str, Outcome]]:
    """The outcome of each, as (verb, command line, outcome)."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    chosen = [command for command in commands() if only is None or only in " ".join(command)]
    with tempfile.TemporaryDirectory() as folder:
        names = _files(Path(folder))
        for command, outcome in zip(chosen, watched(chosen, _doing(Path(folder), names)), strict=True):
            shown = " ".join(word if len(word) < 60 else f"{word[:20]}...({len(word)})" for word in command)
            yield command[0] if command[0] in BASES else "others", shown, outcome


def _doing(folder: Path, names: dict[str, str]) -> Callable[[Command], Outcome]:
    def do(command: Command) -> Outcome:
        shutil.rmtree(folder / "here", ignore_errors=True)
        (folder / "here").mkdir()
        os.chdir(folder / "here")
        before = sorted(folder.rglob("*"))
        words = [_filled(word, names) for word in command]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
        left = set(folder.rglob("*")) - set(before)
        if code != 2:
            raise Wrong(f"exit code {code}", err.getvalue() or out.getvalue()[:200])
        if left:
            raise Wrong("left behind", ", ".join(str(path.relative_to(folder)) for path in left))
        return sentence(err.getvalue().removesuffix("\n"))

    return do


def _filled(word: str, names: dict[str, str]) -> str:
    for name, path in names.items():
        word = word.replace(f"{{{name}}}", path)
    return word


def _files(folder: Path) -> dict[str, str]:
    """The names in braces: a model, a task, a run, and files and folders that are none of these."""
    paths = {name: folder / name for name in ("folder", "full", "text", "binary", "other")}
    paths |= {"empty": folder / "empty.jsonl", "huge": folder / "huge.json"}
    for name, path in made().items():
        paths[name] = Path(shutil.copytree(path, folder / name) if path.is_dir() else shutil.copy(path, folder))
    paths["folder"].mkdir()
    paths["full"].mkdir()
    (paths["full"] / "thesis.tex").write_text("x")
    paths["text"].write_text("not what you look for\n")
    paths["empty"].write_text("")
    paths["binary"].write_bytes(bytes(range(256)) * 4)
    Circuit.from_edges(Graph(1, 1, 1), [("embed", "m0<in>"), ("m0", "logits")]).save(paths["other"])
    manifest = json.loads((paths["run"] / "manifest.json").read_text())
    manifest["question"]["n"] = manifest["setup"]["n"] = 10**12
    paths["huge"].write_text(json.dumps(manifest))
    with contextlib.redirect_stdout(io.StringIO()):  # what is loaded once does not count
        assert main(["score", "ioi", "--n", "2", "--method", "eap", "--out", str(folder / "ioi.safetensors")]) == 0
    return {name: str(path) for name, path in paths.items()}

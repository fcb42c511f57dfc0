"""The whole way: what find prints and writes, how it goes on after a stop, and how it is done again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as xml
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import circuitsearch as cs
from circuitsearch.registry import METHODS
from circuitsearch.run import Manifest

FILES = {"manifest.json", "behaviour.json", "scores.safetensors", "circuit.json", "report.json", "report.md"} | {
    *(f"circuit.{suffix}" for suffix in ("svg", "pdf", "png", "dot", "html")),
    *("circuit-caption.txt", "circuit-caption.tex", "roles.json", "log.jsonl"),
}


@pytest.fixture
def finished(run: Path, first: Any) -> Any:
    """What was said of the run, which is now in runs/mine-tiny."""
    Path("runs").mkdir()
    run.rename("runs/mine-tiny")
    return first[0]


@pytest.fixture
def again(command: Callable[..., Any], task_file: Path, tiny: Path) -> Callable[..., Any]:
    """The same command once more."""
    return lambda *more: command("find", task_file, "--model", tiny, *more)


def contents(folder: Path) -> dict[str, bytes]:
    """All files but the log, which has times."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "log.jsonl"}


def test_it_says_each_step(finished: Any):
    """Size, model, task, behaviour, scores, circuit, held-out faithfulness, control, edges, folder: in this order."""
    labels = [
        "size",
        "model",
        "task",
        "behaviour",
        "scores",
        "circuit",
        "evidence",
        "strongest edges",
        "folder",
    ]
    places = [finished.out.find(f"\n{label}") for label in labels[1:]]
    assert finished.out.startswith("size") and places == sorted(places) and -1 not in places
    assert finished.err == ""
    assert (
        "runs/mine-tiny/" in finished.out
        and "held-out prompts" in finished.out
        and "20 of the same size" in finished.out
    )


def test_it_writes_the_whole_folder(finished: Any):
    """All files, each readable as what it is, and agreeing with one another."""
    run = Path("runs/mine-tiny")
    assert {file.name for file in run.iterdir()} == FILES
    report, circuit = json.loads((run / "report.json").read_text()), json.loads((run / "circuit.json").read_text())
    assert report["n_edges"] == len(circuit["edges"]) <= report["n_edges_total"]
    assert report["faithfulness"]["low"] <= report["faithfulness"]["value"] <= report["faithfulness"]["high"]
    scores = cs.Scores.load(run / "scores.safetensors")
    assert cs.Circuit.load(run / "circuit.json").edges == [tuple(edge.split("->")) for edge in circuit["edges"]]
    assert all(edge in scores.to_dict() for edge in circuit["edges"])
    xml.parse(run / "circuit.svg")
    assert circuit["edges"][0] in (run / "report.md").read_text()


def test_the_manifest_holds_question_and_setup(finished: Any, task_file: Path, tiny: Path):
    """What was asked, what it was computed with, and content hashes, from which the run can be done again."""
    manifest = json.loads(Path("runs/mine-tiny/manifest.json").read_text())
    assert manifest["question"]["task"] == str(task_file) and manifest["question"]["model"] == str(tiny)
    setup = manifest["setup"]
    assert {"task": "mine", "seed": 0, "dtype": "float32", "metric": "logit_diff"}.items() <= setup.items()
    assert setup["ablation"] == {"name": "Resample", "knobs": {}} and manifest["faithfulness"] == 0.9
    assert setup["method"] == {"name": "EAPIG", "knobs": {"steps": 5}}
    assert manifest["refine"].startswith("Refine(passes=12")
    assert set(manifest["outputs"]) == FILES - {"manifest.json", "log.jsonl"}
    assert {"python", "torch", "transformers", "circuitsearch"} <= set(setup["versions"])


def test_every_result_carries_its_setup(finished: Any):
    """Scores, circuit and report say what they were computed with, and the report that its prompts are held out."""
    finding = cs.open_run("runs/mine-tiny")
    setups = [finding.scores.setup, finding.circuit.setup, finding.report.setup, finding.behaviour.setup]
    assert len({each.weights for each in setups if each is not None}) == 1 and None not in setups
    assert finding.report.n_seen == 0 and "held-out prompts" in str(finding.report)
    assert finding.circuit.scores is not None and int((~finding.circuit.scores.isnan()).sum()) > len(finding.circuit)


def test_the_circuit_is_what_python_finds(finished: Any, task_file: Path, tiny: Path):
    """The command line is the public page's five lines, no more."""
    model, tokenizer = cs.load(tiny)
    task = cs.Task.from_file(task_file, tokenizer)
    selection, stopping, held_out = task.parts((0.5, 0.25, 0.25), seed=0)
    method = METHODS.read(str(Manifest.load("runs/mine-tiny/manifest.json").setup.method))
    scores = cs.score(model, selection, method)
    circuit = cs.refine(model, selection, scores, stopping, faithfulness=0.9)
    report = cs.validate(model, circuit, held_out)
    assert cs.Circuit.load("runs/mine-tiny/circuit.json").edges == circuit.edges
    assert cs.Report.load("runs/mine-tiny/report.json") == report


def test_a_finished_run_is_read_back(finished: Any, again: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    """The same command again computes nothing, writes nothing, and says the same."""
    before = contents(Path("runs/mine-tiny"))
    for step in ("search.refine", "pipeline.validate", "run_files.draw", "experiment.Experiment.score"):
        monkeypatch.setattr(f"circuitsearch.{step}", None)
    said = again()
    assert said.code == 0 and said.out.count("(read back)") == 3, said.out
    assert contents(Path("runs/mine-tiny")) == before


@pytest.mark.parametrize("step", ["search.refine", "pipeline.validate", "run_files.draw"])
def test_it_goes_on_after_ctrl_c(run: Path, again: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, step: str):
    """What was finished stays and is read back; the result is that of a run without a stop."""

    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    ours = Path("runs/mine-tiny")
    with monkeypatch.context() as patch:
        patch.setattr(f"circuitsearch.{step}", stop)
        said = again()
        assert said.code == 130 and "Stopped" in said.err and "Traceback" not in said.err
    assert (ours / "scores.safetensors").exists() and not list(ours.glob(".part-*"))
    with monkeypatch.context() as patch:
        patch.setattr("circuitsearch.experiment.Experiment.score", None)  # it would fail if it were called
        assert again().code == 0
    assert contents(ours) == contents(run)


def test_ctrl_c_before_anything_is_finished_leaves_nothing(again: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    """An empty run folder is taken away, with the folders made for it."""

    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("circuitsearch.experiment.Experiment.score", stop)
    assert again().code == 130
    assert not Path("runs").exists()


def test_a_damaged_file_is_made_again(finished: Any, again: Callable[..., Any]):
    """A file that is not as the manifest lists it does not count as finished."""
    run = Path("runs/mine-tiny")
    before = contents(run)
    (run / "circuit.json").write_text("{")
    (run / "circuit.svg").unlink()
    assert again().code == 0
    assert contents(run) == before


def test_from_manifest_gives_the_same_circuit(finished: Any, command: Callable[..., Any]):
    """A run can be done again from its manifest alone, into a folder of its own, byte for byte."""
    said = command("find", "--from", "runs/mine-tiny/manifest.json")
    assert said.code == 0 and "the same circuit" in said.out
    assert contents(Path("runs/mine-tiny-again")) == contents(Path("runs/mine-tiny"))


def test_from_manifest_refuses_other_weights(finished: Any, command: Callable[..., Any], tiny: Path):
    """Weights that changed since are named, with both hashes."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(tiny / "model.safetensors")
    tensors["transformer.wte.weight"][0, 0] += 0.1
    save_file(tensors, tiny / "model.safetensors", {"format": "pt"})
    said = command("find", "--from", "runs/mine-tiny/manifest.json")
    assert said.code == 2 and "another weights" in said.err and "manifest.json" in said.err
    assert not Path("runs/mine-tiny-again").exists()


def test_from_manifest_refuses_another_task(finished: Any, command: Callable[..., Any], task_file: Path):
    """A task file that changed since is named."""
    lines = task_file.read_text().splitlines(keepends=True)
    task_file.write_text("".join(lines[1:] + lines[:1]))
    said = command("find", "--from", "runs/mine-tiny/manifest.json")
    assert said.code == 2 and "another prompts" in said.err


def test_from_manifest_when_the_model_has_moved(finished: Any, command: Callable[..., Any], tiny: Path):
    """--model says where the same weights lie now."""
    moved = tiny.rename(tiny.with_name("moved"))
    said = command("find", "--from", "runs/mine-tiny/manifest.json", "--model", moved, "--out", "there")
    assert said.code == 0 and "the same circuit" in said.out


def test_json_is_one_object_alone(command: Callable[..., Any], task_file: Path, tiny: Path):
    """Standard output is one JSON object; what people read is on standard error."""
    said = command("find", task_file, "--model", tiny, "--json")
    content = json.loads(said.out)
    assert said.out.count("\n") == 1 and "evidence" in said.err
    assert content["n_edges"] == len(content["edges"]) and content["folder"] == "runs/mine-tiny"
    assert set(content["faithfulness"]) == {"value", "low", "high"}


def test_choices_reach_the_run(again: Callable[..., Any]):
    """Each option is a choice of the manifest, and changes the run."""
    said = again(
        "--n",
        10,
        "--method",
        "eap",
        "--recheck",
        2,
        "--start",
        "relp",
        "--complete",
        "--passes",
        3,
        "--faithfulness-of",
        "prompt",
        "--ablation",
        "zero",
        "--metric",
        "prob_diff",
        "--faithfulness",
        0.5,
    )
    assert said.code == 0, said.err
    (manifest,) = map(
        Manifest.load,
        Path("runs").glob(
            "mine-tiny-n10-EAP-Zero-prob_diff-f0.5-ofprompt-startRelP-complete-recheck2-passes3/manifest.json"
        ),
    )
    setup = manifest.setup
    assert [str(setup.method), str(setup.ablation), setup.metric] == [
        "Recheck(first=EAP(), k=2)",
        "Zero()",
        "prob_diff",
    ]
    assert (manifest.faithfulness_of, "passes=3" in manifest.refine) == ("MeanPerPrompt()", True)
    assert manifest.faithfulness == 0.5 and manifest.question is not None and manifest.question.n == 10
    assert [str(each) for each in manifest.starts] == ["RelP()"]
    assert "from each ranking in turn, eap, relp" in said.out
    assert manifest.complete.startswith("Complete(") and "minimal.json" in manifest.outputs
    assert "minimal circuit reaches 0.5" in said.out or "minimal circuits reach 0.5" in said.out


def test_the_strongest_edges_are_rechecked(finished: Any, again: Callable[..., Any]):
    """If asked for, and then it says how well estimate and exact effects agree; by default the estimate is used."""
    said = again("--recheck", 8).out
    assert re.search(r"the estimate has the right sign in \d+% \(rank correlation -?[\d.]+\)", said)
    assert "the estimate has the right sign" in Path("runs/mine-tiny-recheck8/report.md").read_text()
    assert cs.Scores.load("runs/mine-tiny-recheck8/scores.safetensors").agreement is not None
    assert "the estimate has" not in finished.out
    assert cs.Scores.load("runs/mine-tiny/scores.safetensors").agreement is None


def test_a_killed_recheck_continues(again: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    """Nothing is measured twice, and the journal goes when the scores are written."""
    run = Path("runs/mine-tiny-recheck8")
    with monkeypatch.context() as patch:
        patch.setattr("circuitsearch.scores.Agreement.between", _stop)  # when all edges are measured
        assert again("--recheck", 8).code == 130
    measured = (run / "scores.journal").read_bytes()
    assert measured.count(b"\n") > 1 and (run / "manifest.json").exists()
    with monkeypatch.context() as patch:
        patch.setattr("circuitsearch.methods.exact.measure", None)  # nothing is measured again
        assert again("--recheck", 8).code == 0
    assert not (run / "scores.journal").exists()


def test_other_words_go_to_another_folder(finished: Any, again: Callable[..., Any]):
    """The folder's name says what is asked otherwise than by default; spellings do not matter."""
    before = contents(Path("runs/mine-tiny"))
    assert again("--n", 10, "--method", "eap_ig").code == 0
    assert Path("runs/mine-tiny-n10").is_dir() and contents(Path("runs/mine-tiny")) == before


def test_another_run_in_the_folder_is_refused_or_overwritten(
    finished: Any, again: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    """Before the model is loaded; --overwrite makes room."""
    with monkeypatch.context() as patch:
        patch.setattr("circuitsearch.question.load_in", None)
        said = again("--out", "runs/mine-tiny", "--n", 10)
    assert said.code == 2 and "n None, not 10" in said.err and "--overwrite" in said.err
    assert again("--out", "runs/mine-tiny", "--n", 10, "--overwrite").code == 0
    assert cs.open_run("runs/mine-tiny").report.n < 8


def test_a_refused_method_leaves_nothing(again: Callable[..., Any]):
    """Neither manifest nor journal, so that the right command then runs in the same folder."""
    said = again("--out", "here", "--metric", "accuracy")
    assert said.code == 2 and "accuracy" in said.err
    assert not Path("here").exists()
    assert again("--out", "here").code == 0


def _stop(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_dtype(again: Callable[..., Any]):
    """--dtype is the weights' own for the run."""
    assert again("--dtype", "float64").code == 0
    assert json.loads(Path("runs/mine-tiny-float64/manifest.json").read_text())["setup"]["dtype"] == "float64"


@pytest.mark.slow
def test_ctrl_c_in_a_process_of_its_own(task_file: Path, tiny: Path, tmp_path: Path):
    """A real interrupt while the circuit is sought: goodbye, exit code 130, the scores stay."""
    command = [sys.executable, "-m", "circuitsearch", "find", task_file, "--model", tiny, "--out", tmp_path / "run"]
    waiting = {**os.environ, "PYTHONUNBUFFERED": "1"}
    code = (
        "import signal, sys, time, circuitsearch.pipeline as pipeline\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a test run in the background ignores it
        "pipeline.search.refine = lambda *a, **k: time.sleep(60)\n"
        "from circuitsearch.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, *map(str, command[3:])]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=waiting) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("scores"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        try:
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130 and "Stopped" in err and "Traceback" not in err
    assert (tmp_path / "run/scores.safetensors").exists()

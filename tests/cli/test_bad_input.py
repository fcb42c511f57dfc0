"""Everything a person can get wrong: one clear sentence, exit code 2, and nothing left behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from circuitsearch.errors import InputError

Row = dict[str, Any]


@pytest.fixture
def refused(command: Callable[..., Any]) -> Callable[..., str]:
    """Run a command that must be refused; give the sentence."""

    def run(*arguments: object) -> str:
        before = sorted(Path.cwd().rglob("*"))
        said = command(*arguments)
        sentence = said.err.strip()
        assert said.code == 2, said
        assert sentence and "\n" not in sentence, f"not one sentence: {sentence}"
        assert "Traceback" not in said.err and "Warning" not in said.err
        assert sorted(Path.cwd().rglob("*")) == before, "something was left behind"
        return sentence

    return run


def find(task: object, model: object = "pico", *more: object) -> tuple[object, ...]:
    return ("find", task, "--model", model, *more)


# ---- names


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fnd", "ioi"), ("command", "'fnd'", "'find'")),
        (("find", "iio"), ("task", "'iio'", "'ioi'")),
        (("find", "ioi", "--method", "epa"), ("method", "'epa'", "'eap'")),
        (("find", "ioi", "--method", "EAPIG(stepz=3)"), ("EAPIG", "'stepz'", "'steps'")),
        (("find", "ioi", "--method", "EAPIG(steps=0)"), ("steps", "0")),
        (("find", "ioi", "--ablation", "meen"), ("ablation", "'meen'", "'mean'")),
        (("find", "ioi", "--metric", "logit_dif"), ("metric", "'logit_diff'")),
        (("find", "ioi", "--device", "cpuu"), ("device", "'cpu'")),
        (("find", "ioi", "--dtype", "float23"), ("dtype", "'float32'")),
        (("find", "ioi", "--modle", "pico"), ("--modle", "--model")),
        (("find",), ("task", "--clean")),
        (("find", "ioi", "too", "many"), ("too many",)),
        (("score",), ("task", "--clean")),
    ],
)
def test_unknown_names_get_the_nearest(refused: Callable[..., str], arguments: tuple[str, ...], words: tuple[str, ...]):
    """A name that is not known is answered with the ones that are near."""
    sentence = refused(*arguments)
    assert all(word in sentence for word in words), sentence


def test_a_verb_without_its_arguments_shows_its_help(command: Callable[..., Any]):
    """The bare command explains itself."""
    said = command()
    assert said.code == 2 and "find" in said.err and "Usage" in said.err


def test_unknown_model_names_the_bundled_one(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch):
    """A model that is neither bundled, nor a folder, nor the hub's."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    sentence = refused("find", "ioi", "--model", "pikko")
    assert "'pikko'" in sentence and "'pico'" in sentence


def test_no_such_folder(refused: Callable[..., str]):
    """A path that leads nowhere is not asked of the hub."""
    assert "./nowhere" in refused("find", "ioi", "--model", "./nowhere")


# ---- numbers


@pytest.mark.parametrize("n", ["0", "-4"])
def test_n_must_be_positive(refused: Callable[..., str], n: str):
    """No prompts, or fewer than none."""
    assert n in refused("find", "ioi", "--n", n)


@pytest.mark.parametrize("value", ["0", "-0.5", "1.01", "nan", "inf"])
def test_faithfulness_must_lie_in_its_range(refused: Callable[..., str], value: str):
    """Faithfulness is a share above 0, at most 1."""
    sentence = refused("find", "ioi", "--faithfulness", value)
    assert "(0, 1]" in sentence and value in sentence


@pytest.mark.parametrize(("option", "value"), [("--n", "some"), ("--seed", "-1"), ("--faithfulness", "high")])
def test_not_a_number(refused: Callable[..., str], option: str, value: str):
    """An option of another kind is named."""
    assert option in refused("find", "ioi", option, value)


def test_more_rows_than_the_file_has(refused: Callable[..., str], task_file: Path, tiny: Path):
    """--n beyond the file's rows is said, not silently less."""
    sentence = refused(*find(task_file, tiny, "--n", 99))
    assert "16 rows" in sentence and "99" in sentence


# ---- model folders


def test_folder_without_weights(refused: Callable[..., str], tiny: Path):
    """A folder with config.json alone."""
    (tiny / "model.safetensors").unlink()
    assert "no weights" in refused(*find("ioi", tiny))


def test_folder_without_config(refused: Callable[..., str], tiny: Path):
    """A folder with weights alone."""
    (tiny / "config.json").unlink()
    assert "config.json" in refused(*find("ioi", tiny))


def test_config_that_is_not_json(refused: Callable[..., str], tiny: Path):
    """A config.json that cannot be read."""
    (tiny / "config.json").write_text("{")
    assert "config.json" in refused(*find("ioi", tiny))


def test_unknown_architecture(refused: Callable[..., str], tiny: Path):
    """A family that has no row is refused by name, with those that have one."""
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps(config | {"model_type": "gptq9"}))
    sentence = refused(*find("ioi", tiny))
    assert "'gptq9'" in sentence and "llama" in sentence


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\xff" * 64])
def test_broken_safetensors(refused: Callable[..., str], tiny: Path, content: bytes):
    """A weights file that is none."""
    (tiny / "model.safetensors").write_bytes(content)
    sentence = refused(*find("ioi", tiny))
    assert "model.safetensors" in sentence and "broken" in sentence


def test_cut_off_safetensors(refused: Callable[..., str], tiny: Path):
    """A download that was broken off."""
    file = tiny / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert "broken" in refused(*find("ioi", tiny))


def test_missing_tensor(refused: Callable[..., str], tiny: Path):
    """Weights that lack a tensor, which transformers would fill in at random, are refused by its name."""
    change(tiny, lambda tensors: tensors.pop("transformer.h.1.mlp.c_fc.weight"))
    assert "h.1.mlp.c_fc.weight" in refused(*find("ioi", tiny))


def test_tensor_of_another_shape(refused: Callable[..., str], tiny: Path):
    """Weights that do not fit config.json are refused by the tensor's name."""
    change(tiny, lambda tensors: tensors.update({"transformer.wpe.weight": torch.zeros(3, 16)}))
    assert "wpe.weight" in refused(*find("ioi", tiny))


def test_nan_in_the_weights(refused: Callable[..., str], tiny: Path, task_file: Path):
    """NaN in a weight is refused by the tensor's name."""
    change(tiny, lambda tensors: tensors["transformer.h.0.mlp.c_fc.weight"].fill_(torch.nan))
    sentence = refused(*find(task_file, tiny))
    assert "NaN" in sentence and "h.0.mlp.c_fc.weight" in sentence


def test_nan_in_the_logits(refused: Callable[..., str], tiny: Path, task_file: Path):
    """Finite weights whose logits are not."""
    change(tiny, lambda tensors: tensors["transformer.ln_f.weight"].fill_(3e38))
    assert "not finite" in refused(*find(task_file, tiny))


def test_broken_tokenizer(refused: Callable[..., str], tiny: Path):
    """A tokenizer file that cannot be read."""
    (tiny / "tokenizer.json").write_text("{}")
    assert "tokenizer" in refused(*find("ioi", tiny))


def test_named_task_without_tokenizer(refused: Callable[..., str], tiny: Path):
    """A named task is text: it needs a tokenizer."""
    assert "tokenizer" in refused(*find("ioi", tiny))


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    edit(tensors)
    save_file(tensors, file, {"format": "pt"})


# ---- task files

TEXT = {"clean": "Then, Mary and John", "corrupt": "Then, Anna and John", "answer": " went", "wrong": " gave"}
IDS = {"clean_ids": [1, 2, 3], "corrupt_ids": [1, 4, 3], "answer_id": 5, "wrong_id": 6}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (IDS | {"corrupt_ids": [1, 2]}, ("line 2", "3", "2", "token")),
        ({key: IDS[key] for key in ("clean_ids", "corrupt_ids", "answer_id")}, ("line 2", "no wrong answer")),
        (IDS | {"answer_id": "x"}, ("line 2", "answer_id")),
        (IDS | {"wrong_id": 5}, ("line 2", "right", "wrong")),
        (IDS | {"answer_id": []}, ("line 2", "answer")),
        (IDS | {"clean_ids": [], "corrupt_ids": []}, ("line 2", "empty")),
        (IDS | {"clean_ids": [1, 10**6, 3]}, ("row 2", "1000000", "vocabulary")),
        (IDS | {"answer_id": 10**6}, ("row 2", "1000000", "vocabulary")),
        (IDS | {"clean_ids": [-1, 2, 3]}, ("row 2", "-1")),
        (IDS | {"clean_ids": [1] * 999, "corrupt_ids": [2] * 999}, ("row 2", "999", "positions")),
        (TEXT | {"corrupt": "Then, Anna and and John"}, ("line 2", "tokens")),
        ({key: TEXT[key] for key in ("clean", "corrupt", "answer")}, ("line 2", "no wrong answer")),
        (TEXT | {"answer": " went home"}, ("line 2", "' went home'", "one token")),
        (TEXT | {"answer": ""}, ("line 2", "one token")),
        (TEXT | {"wrong": " went"}, ("line 2", "right", "wrong")),
        ([1, 2], ("line 2", "object")),
    ],
)
def test_rows_that_cannot_be_used(refused: Callable[..., str], write: Callable[..., Path], row: object, words: Any):
    """The sentence says in which row what is wrong."""
    good = IDS if "clean_ids" in row else TEXT  # type: ignore[operator]
    file = write(good, row)
    sentence = refused(*find(file))
    assert str(file) in sentence or file.stem in sentence
    assert all(word in sentence for word in words), sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("empty",)),
        (b"\n  \n", ("empty",)),
        (b'{"clean": \n', ("line 1", "JSON")),
        (b"clean,corrupt\n", ("line 1", "JSON")),
        ('{"clean": "é"}'.encode("latin-1"), ("UTF-8",)),
        (b"\x00" * 10, ("UTF-8",)),
    ],
)
def test_files_that_are_no_task(refused: Callable[..., str], tmp_path: Path, content: bytes, words: tuple[str, ...]):
    """Empty, not JSON, not UTF-8."""
    file = tmp_path / "odd.jsonl"
    file.write_bytes(content)
    sentence = refused(*find(file))
    assert "odd.jsonl" in sentence and all(word in sentence for word in words), sentence


def test_no_such_task_file(refused: Callable[..., str]):
    """A name that ends like a file, but is none."""
    assert "gone.jsonl" in refused("find", "gone.jsonl")


def test_text_without_tokenizer(refused: Callable[..., str], write: Callable[..., Path], tiny: Path):
    """Rows of text for a model without a tokenizer."""
    assert "tokenizer" in refused(*find(write(TEXT), tiny))


def test_one_pair_has_no_held_out_evidence(command: Callable[..., Any], task_file: Path, tiny: Path):
    """One pair of prompts gives a circuit, and it is said that nothing was held out."""
    said = command(*find(task_file, tiny, "--n", 1))
    assert said.code == 0, said.err
    assert "1 prompt of the search" in said.out and "no held-out evidence" in said.out and "no interval" in said.out


def test_model_that_does_not_do_the_task(
    refused: Callable[..., str], write: Callable[..., Path], tiny: Path, rows: Any
):
    """Right and wrong swapped: the figures are said, and no circuit is pretended."""
    swapped = [row | {"answer_id": row["wrong_id"], "wrong_id": row["answer_id"]} for row in rows]
    sentence = refused(*find(write(*swapped), tiny))
    assert "does not do the task" in sentence and any(char.isdigit() for char in sentence)


# ---- folders and disks


def test_out_that_is_a_file(refused: Callable[..., str], task_file: Path, tiny: Path):
    """The run's folder cannot be where a file is."""
    assert "is a file" in refused(*find(task_file, tiny, "--out", task_file))


def test_out_below_a_file(refused: Callable[..., str], task_file: Path, tiny: Path):
    """Nor below one."""
    assert "cannot be written" in refused(*find(task_file, tiny, "--out", task_file / "run"))


def test_out_without_permission(
    refused: Callable[..., str], task_file: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
):
    """A folder that one may not write to is said before the work."""
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert "cannot be written" in refused(*find(task_file, tiny, "--out", "run"))


def test_out_with_other_files(refused: Callable[..., str], task_file: Path, tiny: Path):
    """A folder with someone's files is left alone."""
    Path("thesis").mkdir()
    Path("thesis/chapter.tex").touch()
    assert "not empty" in refused(*find(task_file, tiny, "--out", "thesis"))


def test_out_with_another_run(
    command: Callable[..., Any], refused: Callable[..., str], task_file: Path, tiny: Path, tmp_path: Path
):
    """A folder that holds another run is refused, with what differs, and stays as it is."""
    assert command(*find(task_file, tiny, "--out", "run")).code == 0
    assert "seed 0, not 1" in refused(*find(task_file, tiny, "--out", "run", "--seed", 1))
    assert "n None, not 8" in refused(*find(task_file, tiny, "--out", "run", "--n", 8))
    other = tmp_path / "other-model"
    shutil.copytree(tiny, other)
    change(other, lambda tensors: tensors["transformer.h.0.mlp.c_fc.bias"].add_(0.01))
    assert "another weights" in refused(*find(task_file, other, "--out", "run"))


def test_out_with_a_broken_manifest(refused: Callable[..., str], task_file: Path, tiny: Path):
    """A manifest that is none is not overwritten."""
    Path("run").mkdir()
    Path("run/manifest.json").write_text("{}")
    assert "not the manifest of a run" in refused(*find(task_file, tiny, "--out", "run"))


@pytest.mark.parametrize("saved", ["circuitsearch.scores.Scores.save", "pathlib.Path.mkdir"])
def test_no_room_on_the_disk(
    refused: Callable[..., str], task_file: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch, saved: str
):
    """A full disk is said as such, and the folder that could not be filled is taken away."""

    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved, full)
    assert "the disk is full" in refused(*find(task_file, tiny))


def test_bugs_keep_their_traceback(
    command: Callable[..., Any], task_file: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
):
    """An error that is no one's input is not made into a sentence."""

    def bug(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("circuitsearch.search.refine", bug)
    with pytest.raises(ZeroDivisionError):
        command(*find(task_file, tiny))


# ---- the other verbs


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("draw", "gone.json"), ("gone.json",)),
        (("draw", "{circuit}", "-o", "figure.gif"), ("figure.gif", ".svg")),
        (("draw", "{circuit}", "-o", "no/such/place.svg"), ("no/such",)),
        (("draw", "{task}"), ("not a circuit",)),
        (("draw", "{circuit}", "--width", "huge"), ("huge", "one-column")),
        (("draw", "{circuit}", "--theme", "drak"), ("drak", "dark")),
        (("draw", "{circuit}", "--top", "0"), ("1 or more",)),
        (("draw", "{circuit}", "--roles", "gone.json"), ("gone.json",)),
        (("draw", "{circuit}", "--against", "gone.json"), ("gone.json",)),
        (("validate", "gone.json", "ioi"), ("gone.json",)),
        (("validate", "{circuit}", "ioi"), ("Graph",)),
        (("score", "ioi", "-o", "no/such/place.safetensors"), ("no/such",)),
        (("score", "ioi", "-o", ".."), ("is a folder",)),
        (("find", "--from", "gone.json"), ("gone.json",)),
        (("find", "--from", "{circuit}"), ("not the manifest",)),
        (("find", "--from", "{circuit}", "--n", "3"), ("leave out", "n")),
        (("find", "ioi", "--from", "{circuit}"), ("leave out", "task")),
    ],
)
def test_other_verbs(refused: Callable[..., str], task_file: Path, tmp_path: Path, arguments: Any, words: Any):
    """Files that are not there, or not what they should be."""
    from circuitsearch import Circuit, Graph

    circuit = tmp_path / "circuit.json"
    Circuit.from_edges(Graph(1, 1, 1), [("embed", "m0<in>"), ("m0", "logits")]).save(circuit)
    sentence = refused(*(argument.format(circuit=circuit, task=task_file) for argument in arguments))
    assert all(word in sentence for word in words), sentence


def test_names_do_not_steer_the_terminal(refused: Callable[..., str]):
    """Control characters in what was typed come back as escapes."""
    sentence = refused("find", "io\x1b[2Ji")
    assert "\x1b" not in sentence


def test_input_error_is_a_value_error():
    """From Python the same sentences are ValueErrors."""
    assert issubclass(InputError, ValueError)

"""Readers and writers of files: every text ends in a value or in one sentence, and what is written is valid JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from circuitsearch import files
from circuitsearch.errors import LONGEST, InputError, unknown

Numbers = dict[str, list[float]]
TEXT = '{"é": [1.0, -2.5]}'


def read(tmp_path: Path, content: bytes | str, schema: Any = Numbers) -> Any:
    """What a file of this content is read as."""
    path = tmp_path / "numbers.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return files.read_json(path, "a file of numbers", schema)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_what_editors_save_is_read(tmp_path: Path, encoding: str):
    """UTF-8 with a byte order mark or without, and what PowerShell and old Notepad write."""
    assert read(tmp_path, TEXT.encode(encoding)) == {"é": [1.0, -2.5]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("not JSON", "line 1")),
        ('{"a": [1.0,\n 2,,]}', ("not JSON", "line 2, column 4")),
        (TEXT.encode("latin-1"), ("not UTF-8", "byte 2")),
        ('{"a": [NaN]}', ("NaN", "null")),
        ('{"a": [-Infinity]}', ("-Infinity",)),
        ('{"a": [1e999]}', ("1e999", "too large")),
        ('{"a": [' + "9" * 5000 + "]}", ("64 bits",)),
        ('{"a": [1], "b": [], "a": [2]}', ("'a'", "twice")),
        ('{"\\ud800": [1]}', ("surrogate",)),
        ("[" * 100_000, ("nested too deep",)),
        ('{"a":' * 900 + "1" + "}" * 900, ("JSON", "recursion limit")),
        ('{"a": ["1"]}', ("'a.0'", "valid number")),
        ("[1]", ("object",)),
    ],
)
def test_what_is_no_value_is_one_sentence(tmp_path: Path, content: bytes | str, words: tuple[str, ...]):
    """The file, the place in it, and what is wrong there."""
    with pytest.raises(InputError) as caught:
        read(tmp_path, content)
    sentence = str(caught.value)
    assert "numbers.json" in sentence and len(sentence) <= LONGEST and "\n" not in sentence
    assert all(word in sentence for word in words), sentence


def test_a_surrogate_pair_is_a_character(tmp_path: Path):
    """Only half a pair is refused."""
    assert read(tmp_path, '{"\\ud83d\\ude00": [1]}') == {"\U0001f600": [1.0]}


def test_a_size_is_checked_before_anything_is_read(tmp_path: Path):
    """A file of a terabyte, which the disk does not even hold, is refused at once."""
    path = tmp_path / "numbers.json"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 1 << 40)
    with pytest.raises(InputError, match="1048576 MiB"):
        files.read_json(path, "a file of numbers", Numbers)


def test_what_is_no_regular_file_is_refused(tmp_path: Path):
    """A pipe that nobody writes to would be waited for, and a device has no end."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero"), tmp_path / "gone", "a\0b", tmp_path / ("x" * 999)):
        for reader in (
            lambda p: files.read_json(p, "numbers", Numbers),
            lambda p: files.read_safetensors(p, "numbers"),
        ):
            with pytest.raises(InputError, match="give numbers") as caught:
                reader(path)
            assert len(str(caught.value)) <= LONGEST


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), "\ud800", "\u2028 é \U0001f600", {"a": [1.0, float("-inf")]}, [], {}, None]
)
def test_what_is_written_is_valid_json(tmp_path: Path, value: Any):
    """NaN and infinities are null, wherever they are; every text can be read back."""

    def strict(name: str) -> None:
        raise AssertionError(name)

    path = tmp_path / "out.json"
    files.write_json(path, {"value": value, "list": [value, 1.0, value], "text": "<&>"})
    written = json.loads(path.read_bytes(), parse_constant=strict)
    assert written == files.plain({"value": value, "list": [value, 1.0, value], "text": "<&>"})
    assert json.loads(files.to_json(value), parse_constant=strict) == written["value"]
    assert "\n" not in files.to_json(value)
    assert os.listdir(tmp_path) == ["out.json"]


def test_long_lists_are_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The pieces are what ``json`` itself would write."""
    monkeypatch.setattr(files, "_AT_ONCE", 3)
    content = {"names": ["a", "b", "c", "d"], "nested": [{"x": [1, 2]}], "none": [], "numbers": [0.1] * 7}
    files.write_json(tmp_path / "out.json", content)
    assert (tmp_path / "out.json").read_text() == json.dumps(content, indent=1) + "\n"


def test_what_a_killed_process_left_of_the_file_goes_with_the_next_write(tmp_path: Path):
    """That of a process which may still write stays, and so do other files' parts."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    running, other = tmp_path / f".part-{os.getppid()}-a [1].json", tmp_path / f".part-{gone.pid}-b.json"
    left = tmp_path / f".part-{gone.pid}-a [1].json"
    for part in (left, running, other):
        part.write_text("{")
    files.write_bytes(tmp_path / "a [1].json", b"{}")
    assert {path.name for path in tmp_path.iterdir()} == {"a [1].json", running.name, other.name}


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path):
    """The file is there whole or as it was before, and nothing lies beside it."""
    path = tmp_path / "out.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        files.write_whole(path, lambda part: part.write_text("half") and 1 / 0)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["out.json"]


@pytest.mark.parametrize("change", ["cut", "long header", "short", "not JSON"])
def test_broken_safetensors(tmp_path: Path, change: str):
    """Whatever is wrong with the header is one sentence, before it is read."""
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.ones(3)}, path, {"k": "v"})
    tensors, metadata = files.read_safetensors(path, "numbers")
    assert tensors["a"].tolist() == [1, 1, 1] and metadata == {"k": "v"}
    whole = path.read_bytes()
    path.write_bytes(
        {
            "cut": whole[:-1],
            "long header": (1 << 62).to_bytes(8, "little") + whole[8:],
            "short": whole[:3],
            "not JSON": whole.replace(b"{", b"["),
        }[change]
    )
    with pytest.raises(InputError, match="is not numbers"):
        files.read_safetensors(path, "numbers")


def test_messages_are_one_line_of_300_characters():
    """Whatever is put into them."""
    for error in (
        InputError("a\nb\u2028c" + "x" * 1000 + ": do this"),
        unknown("writer", "x" * 100_000, (f"a{i}" for i in range(100_000))),
        unknown("task", "x", ["y" * 1000, "z"]),
    ):
        assert len(str(error)) <= LONGEST and len(str(error).splitlines()) == 1
    assert str(InputError("x" * 1000 + ": do this")).endswith(": do this")

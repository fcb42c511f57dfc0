"""Tables as spreadsheets, editors and data frames save them."""

from __future__ import annotations

import csv
import gzip
import importlib
import io
import sys
from pathlib import Path
from typing import Any

import pytest

import circuitsearch as cs
from circuitsearch.data.reading import read_records
from circuitsearch.errors import InputError

from .conftest import written

HEADER = ["clean", "corrupt", "answer", "wrong"]
ROWS = [
    ["The capital of France is", "The capital of Italy is", " Paris", " Rome"],
    ["The capital of Spain is", "The capital of Peru is", " Madrid", " Lima"],
]
TEXTS = [(clean, corrupt, [right], [wrong]) for clean, corrupt, right, wrong in ROWS]


def table(header: list[str] = HEADER, rows: list[list[str]] = ROWS, delimiter: str = ",", end: str = "\n") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows([header, *rows])
    return text.getvalue()


QUIRKS = {
    "commas": table(),
    "semicolons, as where the comma is decimal": table(delimiter=";"),
    "tabs": table(delimiter="\t"),
    "Excel's first line": "sep=;\r\n" + table(delimiter=";", end="\r\n"),
    "a byte order mark": "\ufeff" + table(),
    "Windows' line ends": table(end="\r\n"),
    "old line ends": table(end="\r"),
    "empty rows at the end": table() + ",,,\n,,,\n\n",
    "empty columns at the end": table([*HEADER, "", ""], [[*row, "", ""] for row in ROWS]),
    "cells beyond the header": table(rows=[[*row, "", " "] for row in ROWS]),
    "an index without a name": table(["", *HEADER], [[str(n), *row] for n, row in enumerate(ROWS)]),
    "an index as pandas reads it back": table(["Unnamed: 0", *HEADER], [[str(n), *row] for n, row in enumerate(ROWS)]),
    "names with capitals and spaces": table(["Clean ", "Corrupt", "Correct answer", "Wrong-Answer"]),
    "other columns": table([*HEADER, "comment"], [[*row, "no, thanks"] for row in ROWS]),
}


@pytest.mark.parametrize("content", QUIRKS.values(), ids=QUIRKS)
def test_what_spreadsheets_save_is_read(read, words, content: str):
    """Every way of saving it gives the same rows, with the space before the answers kept."""
    assert words(read(content)) == TEXTS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_unicode_of_every_kind_is_read(read, words, encoding: str):
    """Excel's "Unicode text" is UTF-16 with tabs."""
    assert words(read(table(delimiter="\t").encode(encoding))) == TEXTS


def test_quoted_commas_quotes_and_line_breaks_belong_to_the_text(read, words):
    """They stand in quotation marks, and the lines are counted on."""
    clean, corrupt = 'Mary, "Anna"\nand John went to', 'Mary, "Mary"\nand John went to'
    task = read(table(rows=[[clean, corrupt, " Mary", " John"], ROWS[0]]))
    assert words(task) == [(clean, corrupt, [" Mary"], [" John"]), TEXTS[0]]
    bad = table(rows=[[clean, corrupt, " Mary", " John"], [*ROWS[0][:3], ROWS[0][2]]])
    with pytest.raises(InputError, match=r"line 5: token \d+ is given as right and as wrong"):
        read(bad)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ""])
def test_the_content_decides_not_the_name(read, words, suffix: str):
    """Of a table the name of the file does not matter."""
    assert words(read(table(delimiter=";"), f"mine{suffix}")) == TEXTS


def test_lists_and_numbers_that_are_printed(read, words, bpe: Any):
    """Lists as Python, JSON and numpy print them; numbers as data frames with gaps write them."""
    ids = {word: bpe(word).input_ids[0] for word in (" Paris", " Rome", " London")}
    rows = [[*ROWS[0][:2], "[' Paris', ' London']", '[" Rome"]'], [*ROWS[0][:2], " Paris", "[' Rome']"]]
    assert [row[2:] for row in words(read(table(rows=rows)))] == [
        ([" Paris", " London"], [" Rome"]),
        ([" Paris"], [" Rome"]),
    ]
    numbers = [[*ROWS[0][:2], f"[{ids[' Paris']} {ids[' London']}]", f"{ids[' Rome']}.0"]]
    task = read(table(["clean", "corrupt", "answer_id", "wrong_id"], numbers))
    assert words(task) == [(*ROWS[0][:2], [" Paris", " London"], [" Rome"])]


def test_a_text_that_only_looks_like_a_list_is_a_text(read, words):
    """What cannot be read as a list is left as it is; nothing is evaluated."""
    from circuitsearch.data.printed import unprinted

    texts = ["[France", "[__import__('os')]", "[" * 5 + "]" * 5, "[" + "-" * 5000 + "1]", "{1: [}", "[1, 2,,]", "]["]
    assert [unprinted(text) for text in texts] == texts
    assert unprinted("[" + "1," * 200_000 + "]") == "[" + "1," * 200_000 + "]"


def test_groups_positions_and_spans_of_a_table(read):
    """Optional columns are read as those of JSON are."""
    header = [*HEADER, "group", "position", "spans", "factors"]
    task = read(table(header, [[*row, "europe", "4", "{'country': [3]}", '{"names": "x"}'] for row in ROWS]))
    assert (task.groups, task.position, task.spans[0]) == ((0, 0), (4, 4), {"country": (3,)})
    assert task.factors[1] == {"names": ("x",)}


# ---- packed


def test_gzip_is_unpacked(read, words):
    """And the task has the name of the file inside."""
    task = read(gzip.compress(table().encode()), "mine.csv.gz")
    assert (task.name, words(task)) == ("mine", TEXTS)


def test_a_bomb_is_refused_by_size(tmp_path: Path):
    """Not more is unpacked than may be read."""
    bomb = written(tmp_path / "bomb.csv.gz", gzip.compress(b"a" * (3 << 20)))
    with pytest.raises(InputError, match="unpacks to more than 1 MiB"):
        read_records(bomb, limit=1 << 20)
    with pytest.raises(InputError, match="gzipped, and broken"):
        read_records(written(tmp_path / "half.gz", bomb.read_bytes()[:-100]))


def test_parquet_needs_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where it is missing, a sentence says what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(InputError, match=r"needs pyarrow: pip install 'circuitsearch\[parquet\]'"):
        read_records(written(tmp_path / "mine.parquet", b"PAR1 and more"))


def test_parquet_is_read(tmp_path: Path, bpe: Any, words):
    """Nulls are no values, lists are lists, an index is left out; a broken file and one that is too large are refused."""
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = importlib.import_module("pyarrow")
    columns = {name: [row[place] for row in ROWS] for place, name in enumerate(HEADER)}
    columns |= {
        "answer": [[row[2]] for row in ROWS],
        "group": ["a", "b"],
        "__index_level_0__": [7, 8],
        "name": [None, None],
    }
    path = tmp_path / "mine.parquet"
    parquet.write_table(arrow.table(columns), path)
    task = cs.Task.from_file(path, bpe)
    assert (words(task), task.groups, task.name) == (TEXTS, (0, 1), "mine")
    with pytest.raises(InputError, match="broken Parquet file"):
        read_records(written(tmp_path / "half.parquet", path.read_bytes()[:-20]))
    parquet.write_table(arrow.table({"clean": ["x" * 1000] * 20_000}), path)
    with pytest.raises(InputError, match="more than 1 MiB, which is too large"):
        read_records(path, limit=1 << 20)


# ---- what is wrong with a table


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("clean,corrupt,answer,wrong\n", "has no rows"),
        ("\n\n", "is empty"),
        (table(["clean", "corrupt", "answer", "clean"]), "two columns have the name 'clean'"),
        (table(["clean", "Clean", "corrupt", "answer"]), "two columns are 'clean', if capitals and spaces do not count"),
        (table(["clean", "corrupt", "answer", "wrnog"]), "no wrong answer: did you mean 'wrong'?.*its columns are clean, corrupt, answer, wrnog"),
        (table(["clean", "corrupt", "answer", "x"]), "no wrong answer: add wrong .*--column wrong=NAME; its columns are clean, corrupt, answer, x"),
        (table(["a", "b", "c", "d"]), "no clean prompt: add clean .*its columns are a, b, c, d"),
        (table(["clean", "corrupt", "label", "x"]), "the column label alone does not say which answers are wrong"),
        (table(rows=[[*ROWS[0], "more"]]), "line 2: it has 5 cells, and the first line names 4 columns: put texts that hold a comma"),
        (table(rows=[ROWS[0], [*ROWS[0][:3], ""]]), "line 3: the row has no wrong"),
        (table() + '"The capital', "line 4: the table cannot be read"),
        (table() + 'The "capital",b,c,d\n', "line 4: "),
        (table([*HEADER, "grop"], [[*row, "1"] for row in ROWS]), "the key 'grop' is not read: did you mean 'group'"),
        (b"PK\x03\x04 rest", "a spreadsheet or an archive .*save the sheet as CSV"),
        (table(rows=[["The caf\xe9 of France is", *ROWS[0][1:]]]).encode("cp1252"), r"byte 34 is 0xe9\), but probably WINDOWS-1252, in which that byte is 'é'.*iconv -f WINDOWS-1252 -t UTF-8"),
        ("Москва, Париж, Рим".encode("cp1251"), "is not UTF-8 text .*save it as UTF-8"),
        (table().encode("utf-16")[:-1], "is not UTF-8 text"),
    ],
)  # fmt: skip
def test_a_bad_table_is_one_sentence(read, content: str | bytes, says: str):
    """It says what is wrong, where, and what to do."""
    with pytest.raises(InputError, match=says) as caught:
        read(content)
    assert "mine.csv" in str(caught.value) and len(str(caught.value)) <= 300


def test_an_unknown_encoding_is_not_guessed(tmp_path: Path):
    """A text that is mostly beyond ASCII is in no Western encoding."""
    with pytest.raises(InputError, match=r"byte 0 is 0xcc\): save it as UTF-8"):
        read_records(written(tmp_path / "mine.csv", "Москва и Рим".encode("cp1251")))

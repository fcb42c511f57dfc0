"""``check_data`` and ``circuitsearch data check``: rows as the model reads them, what is refused, and what would mend it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import circuitsearch as cs
from circuitsearch.cli import main
from circuitsearch.data import advice, encoded
from circuitsearch.data.frames import list_records
from circuitsearch.task import check_row

from .conftest import written
from .test_chat import TEMPLATE, with_template

GAVE = "Then, Mary and John went to the store, and John gave a book to"
ROW = {"clean": GAVE, "corrupt": GAVE.replace("John gave", "Mary gave"), "answer": " Mary", "wrong": " John"}
SPANNED = partial(check_row, align="span")
PAIR = ("The capital of France is", "The capital of Italy is", " Paris", " Rome")


@pytest.fixture(scope="module")
def pico() -> tuple[Any, Any]:
    return cs.load("pico")


def test_what_the_model_makes_of_a_row(pico):
    """Metric, ranks and probabilities are those of two plain runs of the model."""
    model, tokenizer = pico
    (row,) = cs.check_data([ROW | {"spans": {"IO": 1, "END": [15]}}], model, tokenizer).rows
    task = cs.Task.from_texts([ROW], tokenizer)
    with torch.no_grad():
        clean, corrupt = (model(ids[None]).logits[0, -1].double() for ids in (task.clean[0], task.corrupt[0]))
    right, wrong = int(task.answers[0]), int(task.wrong[0])
    assert row.metric == pytest.approx([float(each[right] - each[wrong]) for each in (clean, corrupt)], abs=1e-4)
    assert row.answers[0].rank == 1 + int((clean > clean[right]).sum())
    assert row.wrong[0].probability == pytest.approx(float(clean.softmax(-1)[wrong]), abs=1e-5)
    assert [each.rank for each in row.likeliest] == [1, 2, 3, 4, 5]
    assert (
        row.clean == tuple(tokenizer.decode([token]) for token in task.clean[0])
        and row.differ == (12,)
        and row.spans == {"IO": [1], "END": [15]}
    )


def test_it_prints_all_of_it(pico):
    """Tokens between bars with the differing one in brackets, spans, answers, likeliest tokens and the metric."""
    lines = str(cs.check_data([ROW], *pico)).splitlines()
    assert lines[0] == "the list: 1 row, read as clean, corrupt, answer, wrong; 1 can be used"
    assert [line.split()[0] for line in lines[2:]] == [
        "clean",
        "corrupt",
        "spans",
        "right",
        "wrong",
        "likeliest",
        "logit_diff",
    ]
    assert "|[John]|" in lines[2] and "|[Mary]|" in lines[3] and "END 16 'to'" in lines[4]


def test_ids_without_a_tokenizer(pico):
    """Tokens are shown as numbers, and nothing is proposed."""
    row = {"clean_ids": [0, 5, 6], "corrupt_ids": [0, 7, 6], "answer_id": 8, "wrong_id": 9}
    found = cs.check_data([row, row | {"wrong_id": 8}], pico[0])
    assert found.rows[0].clean == ("0", "5", "6") and len(found.refused) == 1 and not found.proposals


def test_only_the_first_rows_are_run(pico):
    """All are read, ``n`` are shown."""
    found = cs.check_data([ROW] * 7, *pico, n=2)
    assert (found.n_usable, len(found.rows)) == (7, 2)


def test_nothing_to_run(pico):
    """A file of which every row is refused is shown with the reasons, the first ten of them."""
    found = cs.check_data([ROW | {"wrong": " Mary"}] * 12, *pico)
    assert (found.n_usable, found.rows, len(found.refused)) == (0, (), 12)
    assert sum("given as right and as wrong" in line for line in str(found).splitlines()) == 10
    assert "12 refused, the first ten:" in str(found)


# ---- what is proposed


@pytest.mark.parametrize(
    ("rows", "proposals"),
    [
        ([(*PAIR[:2], "Paris", "Rome")] * 2, ["begin the answers with a space: that mends 2 rows (the first is row 1)"]),
        ([(*PAIR[:2], " Paris", "Rome")], ["begin the answers with a space: that mends row 1"]),
        ([(PAIR[0] + " ", PAIR[1] + " ", "Paris", "Rome")], ["remove the space at the end of the prompts and begin the answers with it: that mends row 1"]),
        ([(PAIR[0] + " ", PAIR[1] + " ", *PAIR[2:])], ["remove the space at the end of the prompts: that mends row 1"]),
        (
            [PAIR, (PAIR[0], "The capital of Italy and Spain is", *PAIR[2:])],
            ["row 2 has prompts of unequal length: use words of as many tokens; --align drop leaves such rows out (1 stay); --align span aligns the words that differ in row 2"],
        ),
        ([PAIR, (*PAIR[:2], " Amsterdam", " rome")], ["row 2: ' Amsterdam' is not one token; others that are: ' Paris', ' Rome'", "row 2: ' rome' is not one token; others that are: ' Rome', ' Paris'"]),
        ([(PAIR[0], PAIR[0], *PAIR[2:])], []),
        ([PAIR], []),
    ],
)  # fmt: skip
def test_repairs_that_work_are_proposed(bpe: Any, rows: Any, proposals: list[str]):
    """Each is tried on the refused rows; where none works nothing is proposed."""
    found = encoded(list_records(rows), bpe).checked(check_row)
    assert list(advice(found, bpe, False, check_row, SPANNED)) == proposals


def test_aligning_is_proposed_where_it_works(bpe: Any):
    """Not for the row whose corrupt prompt has words that correspond to none."""
    rows = [
        (PAIR[0], corrupt, *PAIR[2:])
        for corrupt in ("The capital of Italy and Spain is", "The big capital of France is")
    ]
    found = encoded(list_records(rows), bpe).checked(check_row)
    (proposal,) = advice(found, bpe, False, check_row, SPANNED)
    assert proposal.startswith("2 rows (the first is row 1) have prompts of unequal length")
    assert proposal.endswith(
        "--align drop leaves such rows out (0 stay); --align span aligns the words that differ in row 1"
    )


def test_aligned_rows_are_shown_with_what_differs_in_each_prompt(pico, tmp_path: Path, capsys):
    """The metric is that of two plain runs; from the command line it is the same."""
    model, tokenizer = pico
    row = ROW | {"corrupt": GAVE.replace("Mary and John", "Mary and Anna Paul")}
    (found,) = cs.check_data([row], model, tokenizer, align="span").rows
    marked = [
        " ".join(f"[{token.strip()}]" if place in differ else token.strip() for place, token in enumerate(tokens))
        for tokens, differ in ((found.clean, found.differ), (found.corrupt, found.corrupt_differ))
    ]
    assert "Mary and [John] went" in marked[0] and "Mary and [Anna] [Paul] went" in marked[1]
    ids = torch.tensor([tokenizer(row["corrupt"]).input_ids])
    right, wrong = (tokenizer(f"{row[name]}").input_ids[-1] for name in ("answer", "wrong"))
    logits = model(ids).logits[0, -1]
    assert found.metric[1] == pytest.approx(float(logits[right] - logits[wrong]), abs=1e-4)
    file = written(tmp_path / "rows.jsonl", json.dumps(row))
    assert main(["data", "check", str(file), "--align", "span"]) == 0
    assert "1 can be used" in capsys.readouterr().out
    dropped = cs.check_data([row, ROW], model, tokenizer, align="drop")
    assert (dropped.n_usable, str(dropped.refused[0])) == (
        1,
        "row 1: it is left out, since its clean prompt has 17 tokens and the corrupt one 18",
    )


def test_answers_that_the_model_would_write_otherwise(pico, bpe: Any):
    """After a bracket both ways are one token; the likelier one is proposed."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=len(bpe), n_positions=32)
    model = GPT2LMHeadModel(config).eval()
    row = {"clean": PAIR[0] + '"', "corrupt": PAIR[1] + '"', "answer": "Paris", "wrong": "Rome"}
    logits = model(torch.tensor([bpe(row["clean"]).input_ids])).logits[0, -1]
    with_space, without = (float(logits[bpe(text).input_ids[0]].detach()) for text in (" Paris", "Paris"))
    proposals = {}
    for answers in (("Paris", "Rome"), (" Paris", " Rome")):
        given = row | dict(zip(("answer", "wrong"), answers, strict=True))
        proposals[answers[0]] = cs.check_data([given], model, bpe).proposals
    better, worse = (" Paris", "Paris") if with_space > without else ("Paris", " Paris")
    how = "with a space before it" if better == " Paris" else "without the space before it"
    assert proposals[better] == ()
    assert proposals[worse] == (f"the model finds the right answer likelier {how} in row 1: write the answers so",)


# ---- the command


def test_the_command_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A table with a column of another name, and one refused row; control characters are escaped."""
    rows = [ROW, ROW | {"answer": "Mary\x1b[2J"}]
    text = "sentence;corrupt;answer;wrong\n" + "".join(
        ";".join([r["clean"], r["corrupt"], r["answer"], r["wrong"]]) + "\n" for r in rows
    )
    file = written(tmp_path / "mine.csv", text)
    assert main(["data", "check", str(file), "--column", "clean=sentence", "--rows", "1", "--json"]) == 0
    said = capsys.readouterr()
    assert "2 rows" in said.err and "1 can be used" in said.err and "line 3: " in said.err and "\x1b" not in said.err
    found = json.loads(said.out)
    assert found["n_usable"] == 1 and found["rows"][0]["answers"][0]["text"].strip() == "Mary"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["data", "check", "ioi"], "takes a file, and 'ioi' is a built-in task"),
        (["data", "check", "absent.csv"], "absent.csv does not exist"),
        (["data", "chek", "x"], "did you mean 'check'"),
        (["score", "ioi", "--chat"], "are for a task from a file"),
        (["score", "ioi", "--column", "clean=x"], "are for a task from a file"),
        (["score", "{file}", "--column", "clean"], "--column 'clean' is not OURS=THEIRS"),
        (["score", "{file}", "--column", "claen=x"], "did you mean 'clean'"),
        (["score", "{file}", "--column", "clean=x"], "no column 'x', which you name for clean"),
        (["score", "{file}", "--corrupt-file", "absent.csv"], "absent.csv cannot be read"),
        (["score", "{file}", "--chat"], "has no chat template"),
        (["inspect", "dla", "--task", "{file}", "--chat"], "has no chat template"),
    ],
)  # fmt: skip
def test_a_wrong_command_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: Any, says: str):
    """Wherever a file is given, its options are the same."""
    file = written(tmp_path / "mine.csv", "clean,corrupt,answer,wrong\na,b,c,d\n")
    assert main([argument.format(file=file) for argument in arguments]) == 2
    said = capsys.readouterr().err
    assert says in said and len(said.splitlines()) == 1


def test_a_chat_is_shown_with_its_template(pico):
    """Prompts are as the model reads them, with spans."""
    model, tokenizer = pico
    words = TEMPLATE.replace("{{ '<bos>' }}", "").replace("<{{ m['role'] }}>", "Then, ").replace("<eos>", "")
    (row,) = cs.check_data([ROW], model, with_template(tokenizer, words.replace("<answer>", " the")), chat=True).rows
    assert row.clean[:5] == ("<bos>", "Then", ",", "Then", ",") and row.clean[-1] == "the"
    assert row.spans == {"USER": list(range(3, 19)), "ANSWER_START": [19]}

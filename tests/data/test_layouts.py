"""Files in the shapes of other people's data; all rows are made up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from circuitsearch import Task
from circuitsearch.data import encoded, read_records
from circuitsearch.errors import InputError
from circuitsearch.metrics import answer_log_prob, logit_diff, prob_diff
from tests.test_text import byte_level

from .conftest import YEARS, written
from .test_tables import table

FRANCE, ITALY = "The capital of France is", "The capital of Italy is"
GAVE, ALSO = (
    "Then Mary and John went to shop and John gave it to",
    "Then Mary and John went to shop and Anna gave it to",
)
WAR, EARLY = "The war lasted from 1732 to 17", "The war lasted from 1701 to 17"


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def idx(bpe: Any):
    """The token of a text, as files hold it."""
    return lambda text: str(bpe(text).input_ids[0])


def layouts(path: Any, tokenizer: Any, **options: Any) -> tuple[str, ...]:
    return encoded(read_records(path), tokenizer, **options).layouts


# ---- tables with the answers' token ids: EAP-IG, Query-Circuit-Discovery


def test_eap_ig(read, words, idx):
    """Texts with token ids beside them, an index without a name, and columns that are not needed."""
    header = ["", "clean", "corrupted", "corrupted_hard", "correct_idx", "incorrect_idx"]
    content = table(header, [["0", GAVE, ALSO, GAVE, idx(" Mary"), idx(" John")]])
    assert words(read(content)) == [(GAVE, ALSO, [" Mary"], [" John"])]
    hard = read(
        content.replace(f",{GAVE},{idx(' Mary')}", f",{ALSO},{idx(' Mary')}"), columns={"corrupt": "corrupted_hard"}
    )
    assert words(hard) == [(GAVE, ALSO, [" Mary"], [" John"])]


@pytest.mark.parametrize(
    ("right", "wrong", "metric"),
    [
        ("clean_answer_idx", "corrupted_answer_idx", logit_diff),
        ("country_idx", "corrupted_country_idx", logit_diff),
        ("answers_idx", "corrupted_answers_idx", prob_diff),
    ],
)
def test_other_columns_of_eap_ig(read, words, idx, right: str, wrong: str, metric: Any):
    """Gender bias, country facts and hypernymy, whose answers are lists that are printed, and whose metric sums them."""
    several = metric is prob_diff
    given = [
        f"[{idx(' dog')}, {idx(' cat')}]" if several else idx(" dog"),
        f"[{idx(' red')}]" if several else idx(" red"),
    ]
    task = read(table(["clean", right, "corrupted", wrong, "label"], [[FRANCE, given[0], ITALY, given[1], "x"]]))
    assert (
        words(task) == [(FRANCE, ITALY, [" dog", " cat"] if several else [" dog"], [" red"])] and task.metric is metric
    )


def test_rows_without_wrong_answers_are_teacher_forced(read, words):
    """If no column can have the wrong answer, the log probability of the right one is the metric, of however many tokens it is."""
    task = read(table(["clean", "corrupt", "answer"], [[FRANCE, ITALY, " dog red"]]))
    assert task.teacher_forced and task.metric is answer_log_prob and len(task.answers[0]) == 2
    assert task.clean[0].tolist()[-1] == task.answers[0][0]
    with pytest.raises(InputError, match="no wrong answer: add wrong"):
        read(table(["clean", "corrupt", "answer", "other"], [[FRANCE, ITALY, " dog red", " cat"]]))


@pytest.mark.parametrize("column", ["label", "correct_idx"])
def test_greater_than(read, words, column: str):
    """The label is the year's last two digits: all years above it are right, all others wrong, and the metric adds probabilities."""
    task = read(table(["clean", "corrupted", column], [[WAR, EARLY, "32"], [WAR.replace("32", "05"), EARLY, "5"]]))
    assert words(task)[0] == (WAR, EARLY, YEARS[33:], YEARS[:33]) and words(task)[1][2] == YEARS[6:]
    assert task.metric is prob_diff
    assert read(table(["clean", "corrupted", column], [[WAR, EARLY, "32"]]), metric=logit_diff).metric is logit_diff


@pytest.mark.parametrize("row", [[FRANCE, ITALY, "32"], [WAR, EARLY, "33"], [WAR, EARLY, "1"], [WAR, EARLY, "x"]])
def test_a_label_alone_is_not_guessed(read, row: list[str]):
    """Only digits that the prompt itself has are a year."""
    with pytest.raises(InputError, match="the column label alone does not say which answers are wrong: add wrong"):
        read(table(["clean", "corrupted", "label"], [row]))


def test_eap_igs_agreement_names_no_verbs(read):
    """Its verbs are in another file; what is missing is said."""
    with pytest.raises(InputError, match="EAP-IG's agreement rows name no verbs: add answer"):
        read(table(["clean", "corrupted", "group", "plural"], [["The boy", "The boys", "a", "0"]]))


def test_prompts_that_are_printed_token_ids(read, idx):
    """Query-Circuit-Discovery's induction has lists of ids as text; its other files have texts."""
    header = ["Unnamed: 0", "clean", "corrupted", "label", "incorrect_label"]
    task = read(table(header, [["0", "[5, 6, 7, 5]", "[5, 6, 7, 8]", "6", "7"]]), tokenizer=None)
    assert [task.clean[0].tolist(), task.corrupt[0].tolist()] == [[5, 6, 7, 5], [5, 6, 7, 8]]
    assert (task.answers[0].tolist(), task.wrong[0].tolist()) == ([6], [7])
    assert read(table(header, [["0", FRANCE, ITALY, " Paris", " Rome"]])).answers[0].tolist() == [int(idx(" Paris"))]


# ---- JSON: auto-circuit, feature-circuits, MIB


def test_auto_circuit(read, words):
    """One object whose prompts have lists of answers; of compiled models they are token ids."""
    prompts = [{"clean": FRANCE, "corrupt": ITALY, "answers": [" Paris"], "wrong_answers": [" Rome", " Lima"]}]
    for indent in (None, 1):
        content = json.dumps(
            {"word_idxs": {"x": 1}, "prompts": prompts} if indent else {"prompts": prompts}, indent=indent
        )
        assert words(read(content, "ioi.json")) == [(FRANCE, ITALY, [" Paris"], [" Rome", " Lima"])]
    tracr = {"prompts": [{"clean": [1, 2, 3], "corrupt": [1, 4, 3], "answers": [5], "wrong_answers": [6]}]}
    task = read(json.dumps(tracr), "tracr.json", tokenizer=None)
    assert (task.clean[0].tolist(), task.wrong[0].tolist()) == ([1, 2, 3], [6])


def test_feature_circuits(read, words):
    """JSON lines with prefixes and answers of both sides."""
    row = {
        "clean_prefix": "The boy",
        "patch_prefix": "The boys",
        "clean_answer": " sings",
        "patch_answer": " sing",
        "case": "x",
    }
    assert words(read(lines(row), "simple.jsonl")) == [("The boy", "The boys", [" sings"], [" sing"])]


IOI = {
    "prompt": GAVE,
    "template": "...",
    "metadata": {"indirect_object": "Mary", "subject": "John", "random_c": "Anna"},
    "s2_io_flip_counterfactual": {"prompt": GAVE.replace("John gave", "Mary gave")},
    "abc_counterfactual": {"prompt": ALSO},
}
QUESTION = {
    "prompt": "What color is it? red plus blue Answer",
    "choices": {"label": [" red", " blue"], "text": ["a", "b"]},
    "answerKey": 1,
    "symbol_counterfactual": {
        "prompt": "What color is it? red plus dog Answer",
        "choices": {"label": [" dog", " cat"], "text": ["a", "b"]},
        "answerKey": 0,
    },
}
SUM = {
    "prompt": "What is 23 plus 45? Answer:",
    "label": "68",
    "operator": "+",
    "num_digit": 2,
    "random_counterfactual": {"prompt": "What is 23 plus 11? Answer:", "label": "34"},
}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (IOI, (GAVE, GAVE.replace("John gave", "Mary gave"), [" Mary"], [" John"])),
        (QUESTION, (QUESTION["prompt"], QUESTION["symbol_counterfactual"]["prompt"], [" blue"], [" dog"])),
        (SUM, (SUM["prompt"], SUM["random_counterfactual"]["prompt"], ["68"], ["34"])),
    ],
    ids=["ioi", "questions", "arithmetic"],
)
def test_mib(read, words, bpe: Any, row: dict[str, Any], expected: Any):
    """Rows with what is needed inside of other columns, from a file and as a dataset's rows are."""
    assert words(read(lines(row), "test.jsonl")) == [expected] == words(Task.from_dataset([row], bpe))


def test_another_counterfactual_of_mib(read, words):
    """A key inside a column is named with a dot."""
    task = read(lines(IOI), "test.jsonl", columns={"corrupt": "abc_counterfactual.prompt"})
    assert words(task) == [(GAVE, ALSO, [" Mary"], [" John"])]


# ---- two files: PEAP


def peap(prompt: str, number: int) -> str:
    header = ["prompt", "prompt_id", "length", "wrong_token", "correct_token", "label", "split", "subject", "end"]
    return table(header, [[prompt, str(number), "6", " Rome", " Paris", "x", "eval", "3", "5"]])


def test_peap(read, words, tmp_path):
    """The counterfactuals are a file of their own, row by row."""
    other = written(tmp_path / "counterfactual.csv", peap(ITALY, 4))
    assert words(read(peap(FRANCE, 4), corrupt_file=other)) == [(FRANCE, ITALY, [" Paris"], [" Rome"])]


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (peap(ITALY, 5), "line 2: its prompt_id is '4', and that of the row beside it in .* is '5'"),
        (peap(ITALY, 4) + peap(ITALY, 5).partition("\n")[2], "has 1 rows and the corrupt prompts' file .* 2"),
        (table(["x"], [["y"]]), "has no column prompt or clean"),
    ],
)
def test_counterfactuals_that_do_not_belong(read, tmp_path, other: str, says: str):
    """Files whose rows are not pairs are refused."""
    with pytest.raises(InputError, match=says):
        read(peap(FRANCE, 4), corrupt_file=written(tmp_path / "other.csv", other))


def test_without_counterfactuals_it_is_said(read):
    """The first file alone has no corrupt prompts."""
    with pytest.raises(InputError, match="no corrupt prompt: add corrupt"):
        read(peap(FRANCE, 4))


# ---- Edge Pruning


def test_edge_pruning(read, words):
    """Prefixes with pronouns, and with digits."""
    pronoun = {"prefix": "Then Mary is", "corr_prefix": "Then John is", "pronoun": " she", "corr_pronoun": " he"}
    assert words(read(lines(pronoun), "gp.jsonl")) == [("Then Mary is", "Then John is", [" she"], [" he"])]
    task = read(lines({"prefix": WAR, "corr_prefix": EARLY, "digits": "32"}), "gt.jsonl")
    assert words(task) == [(WAR, EARLY, YEARS[33:], YEARS[:33])] and task.metric is prob_diff


# ---- what people call their columns


@pytest.mark.parametrize(
    ("clean", "corrupt", "answer", "wrong"),
    [
        ("prompt", "corrupted", "label", "wrong_answers"),
        ("clean", "corrupt", "answers", "wrong_answer"),
        ("text", "counterfactual", "target", "distractor"),
        ("clean_prompt", "corrupted_prompt", "correct", "incorrect"),
    ],
)
def test_names_that_people_use(read, words, clean: str, corrupt: str, answer: str, wrong: str):
    """They are known, and what was read is said."""
    content = table([clean, corrupt, answer, wrong], [[FRANCE, ITALY, " Paris", " Rome"]])
    assert words(read(content)) == [(FRANCE, ITALY, [" Paris"], [" Rome"])]


def test_columns_that_are_named(read, words, tmp_path, bpe: Any):
    """One, or all; a named column goes before every known one."""
    content = table(["a", "corrupt", "answer", "wrong", "other"], [[FRANCE, ITALY, " Paris", " Rome", " Lima"]])
    assert words(read(content, columns={"clean": "a"})) == [(FRANCE, ITALY, [" Paris"], [" Rome"])]
    assert words(read(content, columns={"clean": "a", "wrong": "other"}))[0][3] == [" Lima"]
    content = table(["a", "b", "c", "wrongs"], [[FRANCE, ITALY, " Paris", " Rome"]])
    every = {"clean": "a", "corrupt": "b", "answer": "c", "wrong": "wrongs"}
    assert words(read(content, columns=every)) == [(FRANCE, ITALY, [" Paris"], [" Rome"])]
    assert layouts(tmp_path / "mine.csv", bpe, columns=every) == ("the columns that you name",)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (
            {"clean": "sentense"},
            "no column 'sentense', which you name for clean: did you mean 'sentence'.*its columns are sentence",
        ),
        ({"claen": "sentence"}, "unknown column 'claen': did you mean 'clean'"),
        ({"clean": ""}, "the column for clean is ''"),
        ({"clean": "sentence", "wrong": "answer.x"}, "no value in the column 'answer.x', which you name for wrong"),
    ],
)
def test_columns_that_are_named_wrongly(read, columns: dict[str, str], says: str):
    """The columns that there are stand in the sentence."""
    with pytest.raises(InputError, match=says):
        read(table(["sentence", "corrupt", "answer", "wrong"], [[FRANCE, ITALY, " Paris", " Rome"]]), columns=columns)


def test_what_was_read_is_said(tmp_path, bpe: Any, idx):
    """Each layout has a name."""
    content = table(["clean", "corrupted", "correct_idx", "incorrect_idx"], [[GAVE, ALSO, idx(" Mary"), idx(" John")]])
    assert layouts(written(tmp_path / "ioi.csv", content), bpe) == ("EAP-IG's columns",)
    mixed = lines({"clean_ids": [1], "corrupt_ids": [2], "answer_id": 3, "wrong_id": 4}, IOI)
    assert layouts(written(tmp_path / "both.jsonl", mixed), bpe) == ("token ids", "MIB's indirect objects")


def test_answers_that_are_not_one_token_by_themselves():
    """Greater-than needs two digits to be one token."""
    with pytest.raises(InputError, match="the answer '33' is not one token by itself in this tokenizer"):
        Task.from_texts([{"clean": WAR, "corrupted": EARLY, "label": "32"}], byte_level())

"""Tasks and batches as data."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from circuitsearch.errors import InputError
from circuitsearch.example import Example
from circuitsearch.task import Task


def ids_row(**changes) -> str:
    """A line of a task file, with changes."""
    row = {"clean_ids": [1, 2, 3], "corrupt_ids": [1, 5, 3], "answer_id": 4, "wrong_id": 6} | changes
    return json.dumps({key: value for key, value in row.items() if value is not None})


def test_buckets_hold_one_length_and_start_before_every_difference():
    """Each batch has prompts of one length that agree before its start, and every row comes once."""
    clean = [[1, 2, 3, 4], [1, 2, 3, 4], [9, 9, 9], [1, 2, 3, 5]]
    corrupt = [[1, 2, 3, 7], [1, 7, 3, 4], [9, 9, 8], [1, 2, 7, 5]]
    task = Task.from_ids(clean, corrupt, [0] * 4, [1] * 4)
    batches = list(task.batches())
    assert sorted(torch.cat([b.rows for b in batches]).tolist()) == [0, 1, 2, 3]
    for batch in batches:
        assert torch.equal(batch.clean[:, : batch.start], batch.corrupt[:, : batch.start])


def test_rows_that_differ_much_later_get_a_bucket_of_their_own():
    """Merging stops where it would run many tokens twice."""
    clean = torch.ones(40, 50, dtype=torch.long)
    corrupt = clean.clone()
    corrupt[:20, 2], corrupt[20:, 40] = 2, 2
    task = Task.from_ids(clean, corrupt, [0] * 40, [1] * 40)
    batches = list(task.batches())
    assert [batch.start for batch in batches] == [2, 40] and sum(map(len, batches)) == 40


def test_batches_are_no_larger_than_asked():
    """A size caps every batch, and sharing can be turned off."""
    task = Task.from_ids([[1, 2]] * 7, [[1, 3]] * 7, [0] * 7, [1] * 7)
    assert [len(batch) for batch in task.batches(3)] == [3, 3, 1]
    assert {batch.start for batch in task.batches(3, share_prefix=False)} == {0}


def test_a_metric_read_at_the_difference_keeps_its_position():
    """The shared prefix never swallows the position that the metric reads."""
    task = Task.from_ids([[1, 2, 3, 4]], [[1, 5, 3, 4]], [0], [1], position=[1])
    assert next(iter(task.batches())).start == 1


def test_answers_of_different_counts_are_padded():
    """Several right answers stand beside one, padded with -1."""
    task = Task.from_ids([[1], [2]], [[2], [3]], [[5, 6], [7]], [[8], [9]])
    assert next(iter(task.batches())).answers.tolist() == [[5, 6], [7, -1]]


def test_split_keeps_groups_whole():
    """No group stands on both sides, every row stands on one, and the seed decides."""
    task = Task.from_ids([[i] for i in range(20)], [[99]] * 20, [1] * 20, [2] * 20, groups=[i // 5 for i in range(20)])
    first, second = task.split(0.5, seed=1)
    assert not set(first.groups) & set(second.groups) and len(first) == len(second) == 10
    assert first.digest() == task.split(0.5, seed=1)[0].digest()
    assert len({task.split(0.5, seed=s)[0].digest() for s in range(8)}) > 1


def test_equal_prompts_never_stand_on_both_sides():
    """The same clean prompt counts as one group, whether groups are given or not."""
    columns = [[1, 2], [1, 2], [3, 4]], [[1, 3], [1, 4], [3, 5]], [7] * 3, [8] * 3
    for groups in (None, [0, 1, 2], [2, 1, 0], ["a", "b", "c"]):
        first, second = Task.from_ids(*columns, groups=groups).split(0.5)
        assert {len(first), len(second)} == {1, 2}


def test_groups_that_share_prompts_are_joined_along_chains():
    """a and b share a prompt, b and c another: all three stay together, and d is the other side."""
    clean = [[1, 2], [1, 2], [3, 4], [3, 4], [5, 6]]
    task = Task.from_ids(clean, [[9, 9]] * 5, [7] * 5, [8] * 5, groups=[3, 2, 2, 1, 4])
    assert {len(side) for side in task.split(0.5)} == {1, 4}


def test_copies_of_a_pair_are_counted_once():
    """Digests of pairs do not depend on their order, and tell what two tasks have in common."""
    columns = [[1, 2], [1, 2], [3, 4]], [[1, 3], [1, 3], [3, 5]], [7] * 3, [8] * 3
    task = Task.from_ids(*columns)
    digests = task.prompt_digests()
    assert task.n_distinct == 2 and digests[0] == digests[1] and all(len(digest) == 16 for digest in digests)
    assert task.subset([2, 0]).prompt_digests() == (digests[2], digests[0])


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 2])
def test_a_split_needs_two_sides(fraction):
    """Fractions at or beyond the ends are refused."""
    with pytest.raises(InputError, match="between 0 and 1"):
        Task.from_ids([[1], [2]], [[3], [3]], [1, 1], [2, 2]).split(fraction)


def test_one_group_cannot_be_split():
    """A task of one group says so."""
    with pytest.raises(InputError, match=r"belong to one group.*or search and report on the same ones"):
        Task.from_ids([[1], [2]], [[3], [3]], [1, 1], [2, 2], groups=[0, 0]).split()


def of_groups(*sizes: int) -> Task:
    """A task with a group of each size, and prompts that are all different."""
    groups = [group for group, size in enumerate(sizes) for _ in range(size)]
    rows = range(len(groups))
    return Task.from_ids([[row] for row in rows], [[99]] * len(rows), [1] * len(rows), [2] * len(rows), groups=groups)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sizes", [(4,) * 8, (1, 2, 3, 9, 4), (5, 1, 1)])
def test_parts_are_disjoint_and_of_whole_groups(sizes: tuple[int, ...], seed: int):
    """Every row is in one part, no group in two, and no part is empty."""
    parts = of_groups(*sizes).parts((0.5, 0.25, 0.25), seed)
    assert sorted(int(ids) for part in parts for ids in part.clean) == list(range(sum(sizes)))
    assert sum(len(set(part.groups)) for part in parts) == len(sizes) and min(map(len, parts)) > 0


def test_parts_have_the_number_of_groups_closest_to_their_fraction():
    """With groups of one size they are exact; two parts are those of a split."""
    task = of_groups(*(4,) * 8)
    assert [len(part) for part in task.parts((0.5, 0.25, 0.25), 1)] == [16, 8, 8]
    assert [part.digest() for part in task.parts((0.3, 0.7), 2)] == [part.digest() for part in task.split(0.3, 2)]


def test_two_groups_make_three_parts():
    """The last part is a group of its own; the others have different prompts of the other group."""
    first, second, last = of_groups(6, 6).parts((0.5, 0.25, 0.25))
    assert [len(first), len(second), len(last)] == [4, 2, 6]
    assert set(first.groups) == set(second.groups) != set(last.groups)
    assert not {int(ids) for ids in first.clean} & {int(ids) for ids in second.clean}


@pytest.mark.parametrize(
    ("task", "fractions", "says"),
    [
        (of_groups(9), (0.5, 0.25, 0.25), "belong to one group"),
        (of_groups(1, 1), (0.5, 0.25, 0.25), "has too few different prompts for 3 parts"),
        (of_groups(2, 2), (0.5, 0.25), r"add up to 1, not \[0.5, 0.25\]"),
        (of_groups(2, 2), (1.5, -0.5), "must be between 0 and 1"),
    ],
)
def test_parts_that_cannot_be_had(task: Task, fractions: tuple[float, ...], says: str):
    """Each reason is one sentence."""
    with pytest.raises(InputError, match=says):
        task.parts(fractions)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (([[1, 2]], [[1]], [1], [2]), "row 1: the clean prompt has 2 tokens and the corrupt one 1"),
        (([[1]], [[2]], [3], [3]), "row 1: token 3 is given as right and as wrong"),
        (([[1]], [[2]], [[]], [3]), "at least one right"),
        (([[]], [[]], [1], [2]), "the prompt is empty"),
        (([[1], [2]], [[1]], [1], [2]), "one entry per example"),
        (([], [], [], []), "no examples"),
        (([[1, 2]], [[1, 2]], [3], [4]), "row 1: the clean and the corrupt prompt are the same, so patching"),
        (([[1], [2]], [[3], [3]], [[5, 5], [6]], [7, 8]), "row 1: token 5 is given twice as a right answer"),
        (([[1.5]], [[2]], [3], [4]), r"row 1 of clean is \[1.5\]: give whole numbers"),
        ((["a"], [[2]], [3], [4]), "row 1 of clean is 'a': give whole numbers"),
        (([[[1, 2], [3, 4]]], [[2]], [3], [4]), r"row 1 of clean is \[\[1, 2\], \[3, 4\]\]: give whole numbers"),
        (
            ([[1]], [[2]], [2**63], [4]),
            "row 1 of answers is 9223372036854775808: give whole numbers of at most 63 bits",
        ),
        (([[1]], [[2]], 3, [4]), "answers is 3: give a list with one entry per example"),
        (({"ids": [[1]]}, [[2]], [3], [4]), "clean is a mapping without input_ids"),
    ],
)
def test_ids_that_make_no_task(columns, says):
    """Each fault is named with its row."""
    with pytest.raises(InputError, match=says):
        Task.from_ids(*columns)


COLUMNS = {
    "position": {"position": [1]},
    "groups": {"groups": [0, 1, 2]},
    "spans": {"spans": [{"S": 0}]},
    "lengths": {"lengths": [2]},
    "factors": {"factors": [{"names": "Mary"}]},
}


@pytest.mark.parametrize(("name", "given"), COLUMNS.items(), ids=COLUMNS)
def test_every_column_has_one_entry_an_example(name: str, given):
    """A column that is too short or too long is refused by name, with all lengths, and no row is lost."""
    says = f"one entry per example, but their lengths are: clean 2, .*{name} {len(given[name])}"
    with pytest.raises(InputError, match=says):
        Task.from_ids([[1, 2], [2, 3]], [[1, 3], [2, 4]], [1, 1], [2, 2], **given)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"position": 1}, "position is 1: give a list"),
        ({"position": [1, 0.5]}, "row 2 of position is 0.5: give whole numbers"),
        ({"position": [1, [0, 1]]}, "row 2 of position has 2 numbers: give one"),
        ({"lengths": [None, 2]}, "row 1 of lengths is None: give whole numbers"),
        ({"groups": [1, 0.5]}, "row 2 of groups is 0.5: give a whole number or a name"),
        ({"groups": "ab"}, "groups is 'ab': give a list"),
        ({"groups": {0, 1}}, r"groups is \{0, 1\}: give a list"),
        ({"spans": [[1], [2]]}, r"row 1 of spans is \[1\]: give positions by name"),
        ({"spans": [{"S": 0}, {"S": "x"}]}, "'S' in row 2 of spans is 'x': give whole numbers"),
        ({"spans": [{"S": 0}, {"S": 2}]}, r"row 2: the span 'S' is outside the prompt of 2 tokens: \(2,\)"),
        (
            {"factors": [{"names": "Mary"}, {"names": [1]}]},
            r"row 2 of factors is \{'names': \[1\]\}: give texts by name",
        ),
        ({"factors": [[1], [2]]}, r"row 1 of factors is \[1\]: give texts by name"),
        ({"pad_id": "x"}, r"pad_id is \['x'\]: give whole numbers"),
    ],
)
def test_columns_of_another_kind_are_refused(given, says: str):
    """Each is one sentence with the column and the row."""
    with pytest.raises(InputError, match=says):
        Task.from_ids([[1, 2], [2, 3]], [[1, 3], [2, 4]], [1, 1], [2, 2], **given)


def test_a_task_that_is_changed_is_checked_as_well():
    """Columns that are replaced must fit, too."""
    task = Task.from_ids([[1, 2], [2, 3]], [[1, 3], [2, 4]], [1, 1], [2, 2])
    with pytest.raises(InputError, match=r"one entry per example, but their lengths are: .*groups 1"):
        replace(task, groups=(1,))
    with pytest.raises(InputError, match="row 1: the clean and the corrupt prompt are the same, so"):
        replace(task, corrupt=task.clean).check_prompts_differ()


def test_prompts_that_differ_only_after_what_is_read_are_refused():
    """A causal model cannot see a later token."""
    with pytest.raises(InputError, match=r"row 2: .* are the same up to token 1, where the metric reads"):
        Task.from_ids([[1, 2, 3]] * 2, [[4, 2, 3], [1, 2, 5]], [6] * 2, [7] * 2, position=[1, 1])


LONG, SHORT = ([5, 6, 7, 8, 9, 10], [5, 6, 7, 8, 30, 10]), ([20, 21, 22], [20, 32, 22])


def padded(short: list[int], before: int = 0) -> list[int]:
    """A short prompt with 0 before and after it, to six tokens."""
    return [0] * before + short + [0] * (6 - before - len(short))


@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize("as_type", [list, torch.tensor])
def test_prompts_that_are_filled_up_are_refused(before: int, as_type):
    """The answer is not read at padding, and none is read as text before it."""
    clean, corrupt = (as_type([long, padded(short, before)]) for long, short in zip(LONG, SHORT, strict=True))
    with pytest.raises(InputError, match=f"row 2 seems to be padded: it {'begins' if before else 'ends'} with 3 times"):
        Task.from_ids(clean, corrupt, [1, 3], [4, 6])


def test_prompts_all_filled_up_alike_are_refused():
    """Three and more of a token that is nowhere else are padding, even where every prompt ends so."""
    with pytest.raises(InputError, match="row 1 seems to be padded: it ends with 3 times the token 0"):
        Task.from_ids([padded(SHORT[0])], [padded(SHORT[1])], [3], [6])


def mask(before: int) -> list[list[int]]:
    """The attention mask of a long prompt and a short one."""
    return [[1] * 6, [int(before <= place < before + 3) for place in range(6)]]


@pytest.mark.parametrize(
    ("before", "given"),
    [
        (0, {"pad_id": 0}),
        (0, {"lengths": [6, 3]}),
        (0, {"lengths": torch.tensor([6, 3])}),
        (0, "mask"),
        (3, "mask"),
    ],
)
def test_padding_that_is_named_is_left_out(before: int, given):
    """An id, lengths or a tokenizer's mask give the task of the prompts as they are."""
    bare = Task.from_ids([LONG[0], SHORT[0]], [LONG[1], SHORT[1]], [1, 3], [4, 6])
    clean, corrupt = ([long, padded(short, before)] for long, short in zip(LONG, SHORT, strict=True))
    if given == "mask":
        sides = [{"input_ids": ids, "attention_mask": mask(before)} for ids in (clean, corrupt)]
        assert Task.from_ids(sides[0], sides[1], [1, 3], [4, 6]).digest() == bare.digest()
    else:
        assert Task.from_ids(clean, corrupt, [1, 3], [4, 6], **given).digest() == bare.digest()


def test_a_mask_with_a_gap_is_refused():
    """A prompt is one run of tokens."""
    with pytest.raises(InputError, match="row 1 of clean: the attention mask must have one run of 1s"):
        Task.from_ids({"input_ids": [[1, 2, 3]], "attention_mask": [[1, 0, 1]]}, [[1, 3]], [1], [2])


@pytest.mark.parametrize("clean", [[[1, 2, 2], [2, 4, 5]], [[1, 1], [2, 3]], [[1, 2, 2]], [[2, 1, 2, 2], [3, 4, 5, 6]]])
def test_a_prompt_may_end_in_a_repeated_token(clean):
    """A repeated token that is no padding is taken."""
    corrupt = [[9, *row[1:]] for row in clean]
    assert len(Task.from_ids(clean, corrupt, [7] * len(clean), [8] * len(clean))) == len(clean)


def test_what_a_tokenizer_returns_is_read():
    """A BatchEncoding is as good as its ids."""
    from transformers import BatchEncoding

    clean, corrupt = (BatchEncoding({"input_ids": ids}) for ids in ([[1, 2], [3, 4, 5]], [[1, 3], [3, 5, 5]]))
    assert [ids.tolist() for ids in Task.from_ids(clean, corrupt, [6, 6], [7, 7]).clean] == [[1, 2], [3, 4, 5]]


def test_ids_beyond_the_vocabulary_name_the_row():
    """An id that the model does not have is named."""
    task = Task.from_ids([[1, 2], [1, 50]], [[1, 3], [1, 3]], [1, 1], [2, 2])
    with pytest.raises(InputError, match="row 2: token id 50 is outside the model's vocabulary of 40"):
        task.check_vocabulary(40)


def test_a_file_of_ids_is_read(tmp_path):
    """Lines of ids make the task, blank lines are let be, lists of answers are taken whole."""
    path = tmp_path / "mine.jsonl"
    path.write_text(ids_row() + "\n\n" + ids_row(answer_id=[4, 7]) + "\n")
    task = Task.from_file(path)
    assert (task.name, len(task), task.answers[1].tolist()) == ("mine", 2, [4, 7])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"{", "line 1: not JSON"),
        (b"[1]", "row 1: not a JSON object"),
        (b"[1", "not JSON"),
        (b"\xffabc", "not UTF-8"),
        (
            ids_row().encode() + b"\n" + ids_row(wrong_id=None).encode(),
            "line 2 has no wrong answer, and other rows have one",
        ),
        (ids_row(answer_id="x").encode(), "line 1: at 'answer_id"),
        (ids_row(corrupt_ids=[1]).encode(), "line 1: the clean prompt has 3 tokens and the corrupt one 1"),
        (ids_row(wrong_id=4).encode(), "right and as wrong"),
        (b'{"clean": "a", "corrupt": "b", "answer": "c", "wrong": "d"}', "no tokenizer was given"),
        (ids_row(grop=1).encode(), "line 1: the key 'grop' is not read: did you mean 'group'"),
        (ids_row(anser_id=[4], answer_id=None).encode(), "did you mean 'answer_id'"),
        (ids_row(group=1).encode() + b"\n" + ids_row().encode(), "line 2 has no group"),
        (ids_row(group=1.5).encode(), "line 1: at 'group"),
        (ids_row(factors={"names": [1]}).encode(), "line 1: at 'factors.names"),
        (ids_row(factor={"names": "x"}).encode(), "did you mean 'factors'"),
        (ids_row(position=3).encode(), "line 1: the metric's position 3 is outside the prompt of 3 tokens"),
        (ids_row(answer_id=2**63).encode(), r"line 1: answers is \[9223372036854775808\]: give whole numbers"),
        (ids_row(answer_id=2**64).encode(), "more than 64 bits"),
        (ids_row().replace("4", "NaN").encode(), "line 1: not JSON: NaN is not a number"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"clean": "' + b"a" * 1_000_000, "line 1: not JSON"),
        (b'{"clean": "\\ud800", "corrupt": "b", "answer": "c", "wrong": "d"}', "half a surrogate pair"),
        (b'{"clean_ids": [1, 2,], "corrupt_ids": [1, 3], "answer_id": 4, "wrong_id": 5}', "line 1: not JSON"),
        (ids_row(corrupt_ids=[1, 2, 3]).encode(), "line 1: the clean and the corrupt prompt are the same"),
    ],
)
def test_files_that_hold_no_task(tmp_path, content, says):
    """Each fault is one sentence with the file and the line."""
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        Task.from_file(path)
    assert "bad.jsonl" in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) <= 300


WRITTEN = {
    "lines": "{0}\n{1}\n",
    "without a last line break": "{0}\n{1}",
    "Windows": "{0}\r\n{1}\r\n",
    "old Mac": "{0}\r{1}",
    "array": "[{0}, {1}]",
    "indented array": " [\n  {0},\n  {1}\n]\n",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("layout", WRITTEN.values(), ids=WRITTEN)
def test_files_of_every_editor_are_read(tmp_path, layout: str, encoding: str):
    """Line ends, marks and arrays make no difference, nor do separators of lines inside a text."""
    path = tmp_path / "mine.jsonl"
    rows = [ids_row(note="one \u2028 two \u0085 three").encode().decode("unicode_escape"), ids_row(answer_id=7)]
    path.write_bytes(layout.replace("{0}", rows[0]).replace("{1}", rows[1]).encode(encoding))
    assert [ids.tolist() for ids in Task.from_file(path).answers] == [[4], [7]]


def test_all_keys_of_a_row_are_read(tmp_path):
    """Groups stay together, the metric reads where a row says, and the task has the name of its rows."""
    path = tmp_path / "mine.jsonl"
    rows = [
        ids_row(clean_ids=[n, 2, 3], group=group, name="colours", spans={"S": 1}, **({"position": 1} if n == 7 else {}))
        for n, group in ((7, "red"), (8, "blue"), (9, "red"))
    ]
    path.write_text("\n".join(rows))
    task = Task.from_file(path)
    assert (task.name, task.groups, task.position) == ("colours", (0, 1, 0), (1, 2, 2))
    assert {len(side) for side in task.split(0.5)} == {1, 2}


def test_factors_of_a_row_are_read(tmp_path):
    """Values may be one text or several, and a row may have none."""
    path = tmp_path / "mine.jsonl"
    path.write_text(
        ids_row(factors={"names": ["Mary", "John"], "templates": "3"}) + "\n" + ids_row(clean_ids=[7, 2, 3])
    )
    task = Task.from_file(path)
    assert task.factors == ({"names": ("Mary", "John"), "templates": ("3",)}, {})
    assert task.subset([1]).factors == ({},)


def test_keys_that_are_not_known_are_left_alone(tmp_path):
    """A note is no fault, nor is a key beside the one that it resembles."""
    path = tmp_path / "mine.jsonl"
    path.write_text(ids_row(note="x", id=3, name="a", names=["Mary"]))
    assert Task.from_file(path).name == "a"


def test_a_missing_file_is_one_sentence(tmp_path):
    """A path that is not there is named."""
    with pytest.raises(InputError, match="cannot be read"):
        Task.from_file(tmp_path / "absent.jsonl")


def test_the_digest_sees_every_choice():
    """Ids, answers and positions all change the digest; the name does not."""
    columns = ([[1, 2]], [[1, 3]], [4], [5])
    same = [Task.from_ids(*columns, name=name).digest() for name in "ab"]
    others = [
        Task.from_ids([[1, 4]], *columns[1:]).digest(),
        Task.from_ids(*columns[:3], [6]).digest(),
        replace(Task.from_ids(*columns), position=(0,)).digest(),
    ]
    assert same[0] == same[1] and len({same[0], *others}) == 4


def test_teacher_forced_answers_continue_both_prompts():
    """All tokens but the last are added; batches read the answer's positions, of one length each."""
    task = Task.from_ids([[5, 6], [7, 8], [5, 7]], [[5, 9], [7, 9], [6, 7]], [[1, 2, 3], [4], [3, 2, 1]], None)
    assert [ids.tolist() for ids in task.clean] == [[5, 6, 1, 2], [7, 8], [5, 7, 3, 2]]
    assert [ids.tolist() for ids in task.corrupt] == [[5, 9, 1, 2], [7, 9], [6, 7, 3, 2]]
    assert [batch.position.tolist() for batch in task.batches(pad=True)] == [[[1]], [[1, 2, 3], [1, 2, 3]]]
    assert [batch.start for batch in task.subset([0, 1]).batches()] == [1, 1]
    assert [batch.start for batch in task.subset([2]).batches()] == [0]
    with pytest.raises(InputError, match="other rows have one"):
        Task.from_examples("mixed", [Example("a", "b", ("c",), ()), Example("a", "b", ("c",), ("d",))], None)

"""Every task and variant with a byte-level BPE: aligned, without leaks; and those that the bundled model does."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from benchmarks.tasks import LEARNED, VARIANTS, common, names, values
from circuitsearch.errors import InputError
from circuitsearch.registry import TASKS
from circuitsearch.validation import behaviour

DONE_BY_PICO = (
    *LEARNED, "ioi(order=abba)", "ioi(order=baba)", "ioi(counterfactual=s2_replaced)", "ioi(counterfactual=s2_flip)",
    "induction_tokens", "greater_than_sequence",
)  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_pairs_are_aligned_and_nothing_leaks(name: str, bpe: Any) -> None:
    """Pairs have one length, and no word, template or prompt is in two parts of a split."""
    task = TASKS.read(name)(bpe, n=32, seed=1)
    assert len(task) == len({tuple(ids.tolist()) for ids in task.clean}) == 32
    assert all(len(clean) == len(corrupt) for clean, corrupt in zip(task.clean, task.corrupt, strict=True))
    parts = [values(part, common(name)) for part in task.parts((0.5, 0.25, 0.25))]
    assert all(parts) and not any(one & other for one, other in combinations(parts, 2))


@pytest.mark.parametrize("name", sorted(set(TASKS.names()) - {"induction_tokens"}))
def test_a_tokenizer_without_words_is_refused(name: str, letter_tokenizer: Any) -> None:
    """One sentence that names the task; letters and digits alone suffice for questions and sums."""
    if name in ("addition", "subtraction"):
        assert len(TASKS.read(name)(letter_tokenizer, n=4)) == 4
        return
    with pytest.raises(InputError, match=rf"^task {name}: "):
        TASKS.read(name)(letter_tokenizer, n=4)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name.startswith("ioi")])
def test_variants_of_ioi_have_the_same_people(variant: str, pico_tokenizer: Any) -> None:
    """Another counterfactual or order with the same seed has the same names, places and templates."""
    one, other = (TASKS.read(name)(pico_tokenizer, n=12, seed=3) for name in ("ioi", variant))
    assert one.factors == other.factors and one.name != other.name
    assert ("order" in variant) != (list(map(list, one.clean)) == list(map(list, other.clean)))


def test_s2_flip_lets_the_receiver_act(pico_tokenizer: Any) -> None:
    """The corrupt prompt differs at S2 alone, which is the receiver."""
    task = TASKS.read("ioi(counterfactual=s2_flip)")(pico_tokenizer, n=12)
    for clean, corrupt, spans, right in zip(task.clean, task.corrupt, task.spans, task.answers, strict=True):
        assert (clean != corrupt).nonzero().flatten().tolist() == list(spans["S2"])
        assert int(corrupt[spans["S2"][0]]) == int(right)


@pytest.mark.parametrize("order", ["abba", "baba"])
def test_orders_of_ioi(order: str, pico_tokenizer: Any) -> None:
    """In ABBA the receiver comes first, in BABA the one who acts."""
    task = TASKS.read(f"ioi(order={order})")(pico_tokenizer, n=12)
    assert all((spans["IO"] < spans["S1"]) == (order == "abba") for spans in task.spans)


@pytest.mark.parametrize("digits", [2, 3])
@pytest.mark.parametrize("sign", ["addition", "subtraction"])
def test_sums_are_right(sign: str, digits: int, digit_words: Any) -> None:
    """The right answer is the first digit of the clean result, the wrong one that of the corrupt result."""
    task = TASKS.read(f"{sign}(digits={digits})")(digit_words, n=16)
    for clean, corrupt, spans, right, wrong in zip(
        task.clean, task.corrupt, task.spans, task.answers, task.wrong, strict=True
    ):
        results = []
        for ids in (clean, corrupt):
            a, b = (int(digit_words.decode(ids[list(spans[name])])) for name in "ab")
            results.append(str(a + b if sign == "addition" else a - b))
        assert [digit_words.decode(token) for token in (right, wrong)] == [result[0] for result in results]


def test_colors_and_boxes_are_those_of_the_asked(bpe: Any) -> None:
    """What is asked for stands next to the right answer, and in the corrupt prompt next to a wrong one."""
    for name, step in (("colored_objects", -1), ("entity_binding", None)):
        task = TASKS.read(name)(bpe, n=12)
        for clean, corrupt, spans, right, wrong in zip(
            task.clean, task.corrupt, task.spans, task.answers, task.wrong, strict=True
        ):
            asked = spans["asked"][0]
            for ids, answers in ((clean, right), (corrupt, wrong)):
                places = [place for place in (ids[:asked] == ids[asked]).nonzero().flatten().tolist()]
                near = ids[places[0] + step] if step else ids[: places[0]]
                assert set(near.reshape(-1).tolist()) & set(answers.tolist())


@pytest.mark.parametrize("name", DONE_BY_PICO)
def test_pico_does_it(name: str, pico_model: Any, pico_tokenizer: Any) -> None:
    """The bundled model passes the test of behaviour."""
    behaviour(pico_model, TASKS.read(name)(pico_tokenizer, n=24, seed=5)).check()

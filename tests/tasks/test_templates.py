"""Tasks from TOML: what a definition makes, and one sentence for each way in which it can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from circuitsearch.errors import InputError
from circuitsearch.tasks import from_template
from circuitsearch.tasks.definition import Definition

MINE = """
name = "who"
about = "The other one receives."
answer = " {a}"
wrong = " {b}"
templates = [
    "Then {a} and {b} went to the {place}, and {again} gave it to",
    "When {a} and {b} were at the {place}, {again} sent it to",
    "After {a} and {b} left the {place}, {again} handed it to",
    "At the {place}, {a} and {b} had fun, and {again} gave it to",
]
[lists]
names = { shared = "names" }
places = "store park school office hospital restaurant"
[slots]
a = "names"
b = "names"
c = "names"
again = "{b}"
place = "places"
[counterfactuals]
other = "Replace('again', by='c')"
flip = { rule = "Replace('again', by='a')", about = "The first one acts." }
"""

PROBLEMS = {
    "unknown slot": (
        "{place}, {again} sent",
        "{plce}, {again} sent",
        "template 2: unknown slot 'plce': did you mean 'place'",
    ),
    "duplicate template": (
        "When {a} and {b} were at the {place}, {again} sent it to",
        "Then {a} and {b} went to the {place}, and {again} gave it to",
        "template 2 is the same as template 1",
    ),
    "empty list": ('"store park school office hospital restaurant"', '""', "list places has no words"),
    "one word": (
        '"store park school office hospital restaurant"',
        '"store"',
        "slot place never varies: the list places has one word",
    ),
    "word twice": ("store park", "store park store", "list places has 'store' twice"),
    "one value": ('place = "places"', 'place = ["store"]', "slot place never varies"),
    "unknown list": ('place = "places"', 'place = "place"', "slot place: unknown list 'place': did you mean 'places'"),
    "unused slot": ('c = "names"', 'c = "names"\nd = "names"', "slot d is in no template, answer or counterfactual"),
    "unknown shared list": (
        'shared = "names"',
        'shared = "name"',
        "list names: unknown shared list 'name': did you mean 'names'",
    ),
    "slot twice": (
        "were at the {place}",
        "were at the {place} and {place}",
        "has {place} twice: name the second place",
    ),
    "slot without a brace": (
        "were at the {place}",
        "were at the {place",
        "template 2: .*has a brace that does not fit|template 2: .* has the field",
    ),
    "no slot": ("When {a} and {b} were at the {place}, {again} sent it to", "Well", "template 2, 'Well', has no slot"),
    "constant answer": ('answer = " {a}"', 'answer = " Mary"', "answer: it never varies"),
    "nothing changed": (
        "{place}, {again} sent",
        "{place}, {c} sent",
        "counterfactual other changes no slot of template 2",
    ),
    "unknown rule": (
        "Replace('again', by='c')",
        "Replce('again', by='c')",
        "unknown counterfactual 'Replce': did you mean 'replace'",
    ),
    "unknown replacement": ("by='c'", "by='x'", "counterfactual other: unknown slot 'x'"),
    "unequal replacement": ("by='c'", "by=('a', 'c')", "Replace has 1 slots and 2 in their place"),
    "misspelt key": (
        "templates =",
        "template =",
        "template: the key 'template' is unknown: did you mean 'templates'|the key 'templates' is missing",
    ),
    "missing key": ('answer = " {a}"', "", "the key 'answer' is missing"),
    "not TOML": ('name = "who"', "name = who", "is not TOML"),
    "unknown metric": ("about =", 'metric = "logit-dif"\nabout =', "unknown metric 'logit-dif'"),
    "unknown span": ("[lists]", 'spans = ["A"]\n[lists]', "spans: unknown field 'A'"),
    "unknown column": ('answer = " {a}"', 'answer = " {a.sex}"', "answer: unknown column of the list names 'sex'"),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_does_not_fit_is_one_sentence(problem: str) -> None:
    """The sentence names the part, and the place of the definition is in front."""
    part, wrong, message = PROBLEMS[problem]
    assert part in MINE
    with pytest.raises(InputError, match=rf"^the task's text(:|,| ).*({message})"):
        Definition.read(MINE.replace(part, wrong, 1))


def test_words_that_no_tokenizer_has(pico_tokenizer: Any) -> None:
    """All words dropped: the list, the count and a reason."""
    text = MINE.replace("store park school office hospital restaurant", "xqzt wvrr qqq zzzz")
    with pytest.raises(
        InputError, match=r"only 0 of its 4 places are single tokens .*xqzt is not: not in the vocabulary"
    ):
        from_template(text, pico_tokenizer)


def test_few_templates_must_be_common(pico_tokenizer: Any) -> None:
    """With three templates held-out prompts cannot have their own, unless the file says that they need not."""
    text = MINE.replace('    "At the {place}, {a} and {b} had fun, and {again} gave it to",\n', "")
    with pytest.raises(InputError, match=r'has 3 templates.* it needs 4: write more, or common = \["templates"\]'):
        from_template(text, pico_tokenizer)
    task = from_template(text.replace("[lists]", 'common = ["templates"]\n[lists]'), pico_tokenizer, n=24)
    train, held_out = task.split()
    assert not {n for f in train.factors for n in f["names"]} & {n for f in held_out.factors for n in f["names"]}


def test_a_definition_is_a_task(tmp_path: Path, pico_tokenizer: Any) -> None:
    """Spans, groups, splits, fresh prompts and counterfactuals follow from the file."""
    file = tmp_path / "mine.toml"
    file.write_text(MINE, encoding="utf-8")
    task = from_template(file, pico_tokenizer, n=32, seed=2)
    assert task.name == "who" and task.span_names == ("a", "b", "place", "again", "END")
    train, held_out = task.split()
    one, other = ({(k, v) for f in part.factors for k in f for v in f[k]} for part in (train, held_out))
    assert one and other and not one & other
    assert len(train.fresh(20, seed=4)) == 20
    flipped = from_template(file, pico_tokenizer, n=32, seed=2, counterfactual="flip")
    assert [ids.tolist() for ids in flipped.clean] == [ids.tolist() for ids in task.clean]
    assert flipped.digest() != task.digest()
    with pytest.raises(InputError, match="unknown counterfactual 'flp': did you mean 'flip'"):
        from_template(file, pico_tokenizer, counterfactual="flp")


def test_dropped_words_have_reasons(pico_tokenizer: Any) -> None:
    """Of each list the words that are kept, and the others with why."""
    task = from_template(MINE.replace("store park", "store xqzt park"), pico_tokenizer, n=8)
    use = task.writer.words["places"]  # type: ignore[union-attr]
    assert use.kept == ("store", "park", "school", "office", "hospital", "restaurant")
    assert use.dropped == {"xqzt": "not in the vocabulary"}


def test_words_of_several_tokens_are_replaced_by_as_many(digit_words: Any) -> None:
    """A list with long words keeps them, and both prompts of a pair have one length."""
    text = """
name = "sport"
about = "Which sport."
answer = " {who.sport}"
common = ["templates"]
templates = ["We know that {who} plays"]
[lists.people]
long = true
columns = ["who", "sport"]
words = [
    "Mary Baker/tennis",
    "John Brooks/golf",
    "Emma Qwxz Carter/soccer",
    "Paul Qwxz Cooper/tennis",
    "Sarah Davis/soccer",
    "Mark Evans/tennis",
    "Kate Qwxz Fisher/tennis",
    "Peter Qwxz Foster/soccer",
    "Lisa Green/golf",
    "David Hall/soccer",
    "Julia Qwxz Hill/golf",
    "Simon Qwxz King/golf",
]
[slots]
who = "people"
other = { list = "people", unlike = "who.sport" }
[counterfactuals]
other = "Replace('who', by='other')"
"""
    task = from_template(text, digit_words, n=8)
    assert len({len(ids) for ids in task.clean}) > 1
    with pytest.raises(InputError, match="so what replaces them must be a slot with unlike"):
        Definition.read(text.replace('{ list = "people", unlike = "who.sport" }', '"people"'))

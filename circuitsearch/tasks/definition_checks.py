"""Whether the parts of a task's definition fit one another; each problem is one sentence with its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from circuitsearch.errors import InputError, shortened, unknown

from .definition import Definition, WordList, all_fields
from .scene import KIND, LABEL, OTHER
from .slots import FromList, Same, Shuffle, Unlike, Values
from .template import Field, fields


def check(task: Definition) -> None:
    """Raise an InputError for the first part that does not fit."""
    task.metric  # noqa: B018 - an unknown name is refused here
    _check_templates(task)
    for words in task.lists.values():
        _check_list(words)
    _check_factors(task)
    for name in task.slots:
        _check_slot(task, name)
    for number, shuffle in enumerate(task.shuffles, 1):
        _check_shuffle(task, f"shuffle {number}", shuffle)
    _check_answers(task)
    for number, text in enumerate(task.kind_of, 1):
        _check_fields(task, f"template {number}", fields(text), task.names)
        _check_places(f"template {number}", fields(text))
    for place, texts in (("answer", task.answers), ("wrong", task.wrong)):
        _check_fields(task, place, all_fields(texts), [*task.names, *task.lists])
    for name in task.counterfactuals:
        _check_counterfactual(task, name)
    _check_use(task)
    _check_known("spans", "field", task.source.spans or (), task.names)
    _check_known("common", "list", task.source.common, [*task.lists, "templates"])


def _check_templates(task: Definition) -> None:
    templates = [template for some in task.templates.values() for template in some]
    if not templates or not all(task.templates.values()):
        raise InputError("templates: there is none: write at least one sentence with a {slot}")
    for number, template in enumerate(templates, 1):
        place = f"template {number}"
        if (first := templates.index(template) + 1) < number:
            raise InputError(f"{place} is the same as template {first}: remove it")
        names = [field.name for field in _placed(place, template)]
        if not names:
            raise InputError(f"{place}, {shortened(repr(template))}, has no slot, so its prompt would never vary")


def _placed(place: str, text: str) -> list[Field]:
    try:
        return fields(text)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def _check_list(words: WordList) -> None:
    if not words.rows:
        raise InputError(f"list {words.name} has no words: give some, or remove it")
    twice = _twice(map(words.key, words.rows))
    if twice:
        raise InputError(f"list {words.name} has {shortened(repr(twice), 40)} twice: remove one")


def _check_factors(task: Definition) -> None:
    """Lists of one factor are divided between groups one by one, so a word in two of them could be in two groups."""
    for factor in {words.factor for words in task.lists.values()}:
        keys = [words.key(row) for words in task.lists.values() if words.factor == factor for row in words.rows]
        twice = _twice(keys)
        if twice:
            raise InputError(
                f"{shortened(repr(twice), 40)} is in two lists of the factor {factor!r}: remove it from one"
            )


def _twice(values: Iterable[str]) -> str:
    return next((value for value, count in Counter(values).items() if count > 1), "")


def _check_slot(task: Definition, name: str) -> None:
    slot = task.slots[name]
    if name == KIND or name in task.lists:
        raise InputError(f"slot {name}: the name is taken by {'the kind of template' if name == KIND else 'a list'}")
    if isinstance(slot, Values) and len(set(slot.values)) < 2:
        raise InputError(f"slot {name} never varies: give it two values or more, or write the word into the templates")
    if isinstance(slot, FromList | Unlike) and len(task.lists[slot.list].rows) < 2:
        raise InputError(f"slot {name} never varies: the list {slot.list} has one word")
    earlier = list(task.slots)[: list(task.slots).index(name)]
    if isinstance(slot, Same | Unlike) and slot.slot not in earlier:
        raise InputError(f"slot {name}: {unknown('earlier slot', slot.slot, earlier)}")
    if isinstance(slot, Unlike):
        for other in (name, slot.slot):
            _check_column(task, f"slot {name}", Field(other, slot.column, False, ""))


def _check_shuffle(task: Definition, place: str, shuffle: Shuffle) -> None:
    _check_known(place, "slot", (*shuffle.slots, *shuffle.labels), task.slots)
    lengths = {len(shuffle.slots), len(shuffle.into), *([len(shuffle.labels)] if shuffle.labels else [])}
    if len(shuffle.slots) < 2 or lengths != {len(shuffle.slots)}:
        raise InputError(f"{place}: give two slots or more, and as many under into and labels")
    if shuffle.into != shuffle.slots and (taken := set(shuffle.into) & {*task.slots, KIND}):
        raise InputError(f"{place}: {min(taken)!r} under into is a slot already: give the place a name of its own")
    for name, order in (shuffle.orders or {}).items():
        if sorted(order) != sorted(shuffle.slots):
            raise InputError(f"{place}: the order {name} must have the slots {', '.join(shuffle.slots)}, each once")


def _check_answers(task: Definition) -> None:
    if not task.answers or not any(_placed("answer", text) for text in task.answers):
        raise InputError('answer: it never varies: name a slot, as in answer = " {name}"')
    for text in task.wrong:
        _placed("wrong", text)


def _check_fields(task: Definition, place: str, found: Iterable[Field], known: Iterable[str]) -> None:
    for field in found:
        _check_known(place, "slot", [field.name], known)
        _check_column(task, place, field)


def _check_places(place: str, found: Iterable[Field]) -> None:
    """Refuse a slot that stands twice in a template, since each of its places is a span of its own."""
    twice = _twice(field.name for field in found)
    if twice:
        raise InputError(
            f'{place} has {{{twice}}} twice: name the second place, as in slots.{twice}_again = "{{{twice}}}"'
        )


def _check_column(task: Definition, place: str, field: Field) -> None:
    if field.column == LABEL and any(shuffle.labels for shuffle in task.shuffles):
        return
    slot = task.slots.get(field.column)
    if field.column == OTHER or (slot is not None and not isinstance(slot, Values)):
        raise InputError(f"{place}: {{{field.name}.{field.column}}} must name a column, or a slot with values")
    for name in task.sources(field.name):
        words = task.lists[name]
        known = [*filter(None, words.columns), *words.constants]
        strange = next((column for column in task.columns(field) if column and column not in known), None)
        if strange:
            raise InputError(f"{place}: {unknown(f'column of the list {name}', strange, known)}")
    if field.column and not task.sources(field.name):
        raise InputError(f"{place}: {{{field.name}.{field.column}}}: {field.name} is no slot of a list with columns")


def _check_counterfactual(task: Definition, name: str) -> None:
    rule, place = task.counterfactuals[name], f"counterfactual {name}"
    _check_known(
        place, "slot", [*rule.changed, *(each for slot in rule.changed for each in rule.sources(slot))], task.names
    )
    flipped = [slot for slot in rule.changed if not rule.sources(slot)]
    for slot in map(task.slots.get, flipped):
        if not (isinstance(slot, Values) and len(set(slot.values)) == 2):
            raise InputError(f"{place}: a slot that is flipped must have two values")
    long = [slot for slot in rule.changed if any(task.lists[name].long for name in task.sources(slot))]
    for slot in long:
        if not all(isinstance(task.slots.get(each), Unlike) for each in rule.sources(slot)):
            raise InputError(
                f"{place}: the words of {slot} may be several tokens, so what replaces them must be a slot with unlike, which has"
                " as many"
            )
    for number, template in enumerate(task.kind_of, 1):
        read = {part for field in fields(template) for part in (field.name, field.column)}
        if not read & {*rule.changed}:
            raise InputError(f"{place} changes no slot of template {number}, so its two prompts would be the same")


def _check_use(task: Definition) -> None:
    """Refuse a slot that nothing reads, since it is probably a misspelling."""
    used = {part for field in all_fields(task.texts) for part in (field.name, field.column)}
    used |= {name for shuffle in task.shuffles for name in (*shuffle.slots, *shuffle.labels)}
    used |= {each for rule in task.counterfactuals.values() for slot in rule.changed for each in rule.sources(slot)}
    used |= {slot.slot for slot in task.slots.values() if isinstance(slot, Same | Unlike)}
    idle = next((name for name in task.slots if name not in used), None)
    if idle:
        raise InputError(f"slot {idle} is in no template, answer or counterfactual: use it, or remove it")
    if not task.counterfactuals:
        raise InputError("counterfactuals: there is none: write one, as in other = \"Replace('name', by='other')\"")


def _check_known(place: str, what: str, given: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in given:
        if name not in known:
            raise InputError(f"{place}: {unknown(what, name, known)}")

"""The words of a definition that a tokenizer leaves, and their division between groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from circuitsearch.errors import InputError
from circuitsearch.text import encode

from .definition import Definition, WordList
from .pools import FEWEST_GROUPS, Pool, Pools, Selection, WordUse, check_enough, deal, known_templates, why_not
from .scene import TOKENS, Word
from .slots import FromList, Unlike, needed
from .template import Field, fields

Known = Mapping[str, Mapping[str, Word]]
"""For each list its usable words by key."""


def select(task: Definition, tokenizer: Any) -> tuple[Known, Selection]:
    """The usable words of each list, and their division between groups.

    Raises
    ------
    InputError
        If a list has too few words that are single tokens where they stand.
    """
    found = {name: _usable(words, _contexts(task, name), tokenizer) for name, words in task.lists.items()}
    known = {name: usable for name, (usable, _) in found.items()}
    dropped = {name: reasons for name, (_, reasons) in found.items()}
    drawn = {slot.list for slot in task.slots.values() if isinstance(slot, FromList | Unlike)}
    pools = [
        Pool(words.factor, name, list(known[name]), max(1, needed(task.slots, name)))
        for name, words in task.lists.items()
        if name in drawn
    ]
    for pool in pools:
        groups = 1 if pool.what in task.source.common else FEWEST_GROUPS
        check_enough(task.name, pool, dropped[pool.what], groups)
    answers = next((name for name in task.lists if name not in drawn and not known[name]), None)
    if answers:
        raise InputError(
            f"task {task.name}: no word of the list {answers} is one token in this tokenizer: use another one"
        )
    words = {name: WordUse(tuple(known[name]), dropped[name]) for name in task.lists}
    templates = {kind: known_templates(task.name, tokenizer, some) for kind, some in task.templates.items()}
    words |= {f"templates {kind}".strip(): each for kind, (_, use) in templates.items() for each in use.values()}
    return known, Selection(_groups(task, pools, [some for some, _ in templates.values()]), words)


def _groups(task: Definition, pools: Sequence[Pool], known: Sequence[Sequence[str]]) -> dict[int, Pools]:
    """The pools of each group; what is common to all groups is whole in each."""
    templates = [Pool("templates", "templates", some) for some in known]
    common = [pool for pool in (*pools, *templates) if pool.what in task.source.common]
    divided = [pool for pool in (*pools, *templates) if pool not in common]
    for pool in templates:
        if pool in divided and len(pool.words) < FEWEST_GROUPS:
            raise InputError(
                f"task {task.name} has {len(pool.words)} templates, and to keep those of held-out prompts apart it needs"
                f' {FEWEST_GROUPS}: write more, or common = ["templates"]'
            )
    if not divided:
        raise InputError(f"task {task.name}: all its lists are common, so no prompts can be held out: leave one out")
    everywhere: dict[str, tuple[str, ...]] = {}
    for pool in common:
        everywhere[pool.factor] = (*everywhere.get(pool.factor, ()), *pool.words)
    return {
        group: {**everywhere, **{name: everywhere.get(name, ()) + values for name, values in fold.items()}}
        for group, fold in deal(divided).items()
    }


Context = tuple[str, str, bool]
"""The text before a word, its column and whether only the first letter is shown."""


def _contexts(task: Definition, name: str) -> list[Context]:
    """Where the words of a list stand in prompts and answers."""
    found = [
        (_before(field), column, field.first_letter)
        for text in task.texts
        for field in fields(text)
        if name in task.shown_by(field)
        for column in task.columns(field)
    ]
    return list(dict.fromkeys(found))


def _before(field: Field) -> str:
    """What decides how a word after a text is split: a space, or the text itself."""
    return " " if field.before.endswith(" ") else field.before[-12:]


def _usable(words: WordList, contexts: Sequence[Context], tokenizer: Any) -> tuple[dict[str, Word], dict[str, str]]:
    """The words of a list whose cells are single tokens where they are shown, by key, and the others with the reason."""
    known: dict[str, Word] = {}
    dropped: dict[str, str] = {}
    for row in words.rows:
        word = words.word(row)
        read = [column for column in _read(contexts) if not (words.long and column in ("", words.columns[0]))]
        reasons = {column: why for column in read if (why := _why_not(word, column, contexts, tokenizer))}
        cells = {column: cell for column, cell in word.cells.items() if column not in reasons}
        first = reasons.get("", reasons.get(words.columns[0], ""))
        left = not words.incomplete or any(column in cells for column in _read(contexts) if column)
        if first or not left or (reasons and not words.incomplete):
            dropped[words.key(row)] = first or next(iter(reasons.values()), "")
        else:
            length = {TOKENS: _length(word, contexts, tokenizer)} if words.long else {}
            known[words.key(row)] = replace(word, cells={**cells, **length})
    return known, dropped


def _placed(shown: str, before: str) -> tuple[str, str]:
    """A word with its space, and what stands before it."""
    return (f" {shown}", "the") if before == " " else (shown, before)


def _length(word: Word, contexts: Sequence[Context], tokenizer: Any) -> str:
    """How many tokens a word has at each of its places."""
    places = [_placed(word.text, before) for before, column, first_letter in contexts if not (column or first_letter)]
    return " ".join(str(len(encode(tokenizer, b + w)) - len(encode(tokenizer, b))) for w, b in places)


def _read(contexts: Sequence[Context]) -> list[str]:
    return list(dict.fromkeys(column for _, column, _ in contexts))


def _why_not(word: Word, column: str, contexts: Sequence[Context], tokenizer: Any) -> str:
    """Why a cell is not one token at one of its places; an empty text if it is."""
    text = word.cells.get(column) if column else word.text
    if not text:
        return "it is missing"
    for before, where, first_letter in contexts:
        shown = text[0] if first_letter else text
        why = where == column and why_not(tokenizer, *_placed(shown, before))
        if why:
            return why if shown == word.key else f"{shown!r} is {why}"
    return ""

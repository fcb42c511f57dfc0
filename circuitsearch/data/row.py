"""One row under our names, checked, and its token ids."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from circuitsearch.errors import InputError, shortened
from circuitsearch.files import first_problem
from circuitsearch.text import Row as Ids
from circuitsearch.text import Tokenizer, encode_row, encode_texts

from .printed import is_ids, unprinted, whole

Item = TypeVar("Item")

_NUMBERS = ("clean_ids", "corrupt_ids", "answer_id", "wrong_id", "position")
_LISTS = ("answer", "wrong", "spans", "corrupt_spans", "factors")


class Row(BaseModel):
    """A row: each prompt and each answer as text or as token ids; of both the ids are used."""

    model_config = ConfigDict(strict=True, frozen=True)
    clean: str | None = None
    corrupt: str | None = None
    answer: str | list[str] | None = None
    wrong: str | list[str] | None = None
    clean_ids: list[int] | None = None
    corrupt_ids: list[int] | None = None
    answer_id: int | list[int] | None = None
    wrong_id: int | list[int] | None = None
    group: StrictInt | str | None = None
    position: int | None = None
    name: str | None = None
    spans: dict[str, int | list[int]] = Field(default_factory=dict)
    corrupt_spans: dict[str, int | list[int]] = Field(default_factory=dict)
    factors: dict[str, str | list[str]] = Field(default_factory=dict)
    system: str | None = None
    alone: bool = Field(default=False, description="whether answers are tokenised by themselves")
    forced: bool = Field(default=False, description="whether the answer, of any number of tokens, is teacher-forced")

    @classmethod
    def of(cls, content: dict[str, Any], *, table: bool, own: bool, alone: bool = False, forced: bool = False) -> Row:
        """Check a row's values; those of a table may be printed.

        Raises
        ------
        InputError
            If a value is of another type.
        """
        content = _unprinted(content) if table else content
        content = content if own and not table else _with_ids(content)
        try:
            row = cls.model_validate(content | {"alone": alone, "forced": forced}, strict=True)
        except ValidationError as error:
            raise InputError(f"{first_problem(error)}{_advice(error)}") from None
        row._check()
        return row

    def _check(self) -> None:
        for part, ids in (
            ("clean", "clean_ids"),
            ("corrupt", "corrupt_ids"),
            ("answer", "answer_id"),
            ("wrong", "wrong_id"),
        ):
            needed = part != "wrong" or not self.forced
            if needed and getattr(self, part) is None and getattr(self, ids) is None:
                raise InputError(f"the row has no {part}: give {part} as text, or {ids} as token ids")
        try:
            "".join([self.clean or "", self.corrupt or "", *listed(self.answer), *listed(self.wrong)]).encode()
        except UnicodeEncodeError:
            raise InputError("a text has half a surrogate pair, which is not a character") from None

    @property
    def is_text(self) -> bool:
        """Whether any prompt or answer is text, so that a tokenizer is needed."""
        wrong = [] if self.forced else [self.wrong_id]
        return None in (self.clean_ids, self.corrupt_ids, self.answer_id, *wrong)

    def ids(self, tokenizer: Tokenizer | None) -> Ids:
        """The token ids of the prompts and the answers.

        Raises
        ------
        InputError
            If there is no tokenizer for a text, or :func:`circuitsearch.text.encode_row` refuses it.
        """
        if not self.is_text:
            return self.clean_ids or [], self.corrupt_ids or [], listed(self.answer_id), listed(self.wrong_id)
        if tokenizer is None:
            raise InputError("the row is text, but no tokenizer was given: pass the model's tokenizer, or token ids")
        if self.clean is None or self.corrupt is None or None not in (self.clean_ids, self.corrupt_ids):
            return self._with_prompt_ids(tokenizer)
        if self.forced and self.answer_id is None:
            return encode_row(tokenizer, self.clean, self.corrupt, listed(self.answer), [])
        right, wrong = (
            [] if ids is not None or self.alone else listed(texts)
            for texts, ids in ((self.answer, self.answer_id), (self.wrong, self.wrong_id))
        )
        clean, corrupt, right_ids, wrong_ids = encode_texts(tokenizer, self.clean, self.corrupt, right, wrong)
        return (
            clean,
            corrupt,
            right_ids or self._answer_ids(tokenizer, True),
            wrong_ids or self._answer_ids(tokenizer, False),
        )

    def _answer_ids(self, tokenizer: Tokenizer, right: bool) -> list[int]:
        """Ids that are given, or those of answers that are tokens by themselves."""
        given = self.answer_id if right else self.wrong_id
        texts = listed(self.answer if right else self.wrong)
        return listed(given) if given is not None else [_alone(tokenizer, text) for text in texts]

    def _with_prompt_ids(self, tokenizer: Tokenizer) -> Ids:
        """Prompts as ids, with answers as text: each is the token that it is by itself."""
        if self.clean_ids is None or self.corrupt_ids is None:
            raise InputError("one prompt is text and the other token ids: give both as text, or both as ids")
        return self.clean_ids, self.corrupt_ids, self._answer_ids(tokenizer, True), self._answer_ids(tokenizer, False)


def _alone(tokenizer: Tokenizer, text: str) -> int:
    """The one token that a text is by itself."""
    ids = list(tokenizer(text, add_special_tokens=False).input_ids)
    if len(ids) != 1 or ids[0] == getattr(tokenizer, "unk_token_id", None):
        raise InputError(
            f"the answer {shortened(repr(text), 40)} is not one token by itself in this tokenizer (it gives {len(ids)}): use a"
            " model in whose tokenizer it is one, or other answers"
        )
    return ids[0]


def listed(value: Item | list[Item] | None) -> list[Item]:
    """One or several values as a list; none for None."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _unprinted(content: dict[str, Any]) -> dict[str, Any]:
    """A table's values: numbers and lists in place of the texts that show them."""
    found = {name: whole(value) if name in _NUMBERS else value for name, value in content.items()}
    found |= {name: unprinted(found[name]) for name in _LISTS if name in found}
    prompts = {name: unprinted(found.get(name)) for name in ("clean", "corrupt")}
    if not all(is_ids(value) for value in prompts.values()):
        return found
    answers = {name: whole(found[name]) for name in ("answer", "wrong") if name in found}
    return found | prompts | answers


def _with_ids(content: dict[str, Any]) -> dict[str, Any]:
    """Token ids under their own names, where a file has them in place of texts."""
    ids = {"clean": "clean_ids", "corrupt": "corrupt_ids"}
    prompts = all(is_ids(content.get(name)) for name in ids)
    found = {ids[name] if prompts and name in ids else name: value for name, value in content.items()}
    for name, of_ids in (("answer", "answer_id"), ("wrong", "wrong_id")) if prompts else ():
        if is_ids(found.get(name)) or type(found.get(name)) is int:
            found[of_ids] = found.pop(name)
    return found


def _advice(error: ValidationError) -> str:
    """What to do about a number in place of a text."""
    first = error.errors(include_url=False, include_context=False)[0]
    if first["loc"][:1] in (("answer",), ("wrong",)) and isinstance(first["input"], int | float):
        return f": write it in quotation marks if it is a text, or name it {first['loc'][0]}_id if it is a token id"
    return ": a row needs clean, corrupt, answer, wrong (or clean_ids, corrupt_ids, answer_id, wrong_id)"

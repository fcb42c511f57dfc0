"""Prompts through a chat template: begun once, with the generation prompt, and spans for who says what."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from tokenizers.processors import TemplateProcessing

from circuitsearch import Task
from circuitsearch.errors import InputError

TEMPLATE = (
    "{{ '<bos>' }}{% for m in messages %}{% if m['role'] == 'tool' %}{{ raise_exception('no tools') }}{% endif %}"
    "<{{ m['role'] }}>{{ m['content'] | trim }}<eos>{% endfor %}{% if add_generation_prompt %}<answer>{% endif %}"
)
ROW = {"clean": "The capital of France is", "corrupt": "The capital of Italy is", "answer": "Paris", "wrong": "Rome"}


def with_template(tokenizer: Any, template: str, bos: bool = False) -> Any:
    """The tokenizer with a chat template, and one that itself begins each text with <bos>."""
    tokenizer = deepcopy(tokenizer)
    tokenizer.chat_template = template
    if bos:
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", tokenizer.convert_tokens_to_ids("<bos>"))]
        )
    return tokenizer


@pytest.mark.parametrize("template", [TEMPLATE, TEMPLATE.replace("{{ '<bos>' }}", "")], ids=["with <bos>", "without"])
def test_a_prompt_begins_once_and_ends_where_the_answer_begins(bpe: Any, template: str):
    """Whether the template, the tokenizer or both put the beginning."""
    tokenizer = with_template(bpe, template, bos=True)
    task = Task.from_texts([ROW], tokenizer, chat=True)
    assert tokenizer.decode(task.clean[0]) == "<bos><user>The capital of France is<eos><answer>"
    assert tokenizer.decode(task.corrupt[0]) == "<bos><user>The capital of Italy is<eos><answer>"
    assert tokenizer.decode(task.answers[0]) == "Paris" and task.position == (len(task.clean[0]) - 1,)


@pytest.mark.parametrize("bos", [False, True])
def test_spans_of_system_user_and_answer(bpe: Any, bos: bool):
    """They hold the tokens of these texts, wherever the beginning comes from; the system may be a column."""
    tokenizer = with_template(bpe, TEMPLATE, bos)
    rows = [ROW, ROW | {"system": "Answer red", "clean": "What is France ", "corrupt": "What is Italy "}]
    task = Task.from_texts(rows, tokenizer, chat=True)
    said = [
        {name: tokenizer.decode(ids[list(places)]) for name, places in spans.items()}
        for ids, spans in zip(task.clean, task.spans, strict=True)
    ]
    assert said == [
        {"USER": "The capital of France is", "ANSWER_START": "<answer>"},
        {"SYSTEM": "Answer red", "USER": "What is France", "ANSWER_START": "<answer>"},
    ]
    assert tokenizer.decode(task.clean[1]) == "<bos><system>Answer red<eos><user>What is France<eos><answer>"


def test_ids_are_those_of_the_tokenizers_own_template(bpe: Any):
    """Where the template itself writes the beginning, as the library tokenises it."""
    tokenizer = with_template(bpe, TEMPLATE)
    own = tokenizer.apply_chat_template([{"role": "user", "content": ROW["clean"]}], add_generation_prompt=True)
    own = own if isinstance(own, list) else own["input_ids"]
    assert Task.from_texts([ROW], tokenizer, chat=True).clean[0].tolist() == own


@pytest.mark.parametrize(
    ("template", "row", "says"),
    [
        (None, ROW, "this model's tokenizer has no chat template: take its chat or instruct version"),
        (TEMPLATE.replace("tool", "system"), ROW | {"system": "Answer"}, r"row 1: .*refuses the row \(no systems\)"),
        (TEMPLATE.replace("| trim", "[:4]"), ROW, "does not show the user's text 'The capital of France is'"),
        ("{{ messages[", ROW, "row 1: the tokenizer's chat template refuses the row"),
        (TEMPLATE, {"clean_ids": [1], "corrupt_ids": [2], "answer_id": 3, "wrong_id": 4}, "takes prompts as text"),
        (TEMPLATE, ROW | {"position": 3}, "sets positions and spans itself"),
        (TEMPLATE, ROW | {"spans": {"S": 1}}, "sets positions and spans itself"),
    ],
)
def test_what_does_not_go_through_a_template(bpe: Any, template: Any, row: Any, says: str):
    """Each is one sentence."""
    with pytest.raises(InputError, match=says):
        Task.from_texts([row], with_template(bpe, template), chat=True)


def test_without_a_tokenizer_there_is_no_template():
    """The same sentence."""
    with pytest.raises(InputError, match="has no chat template"):
        Task.from_texts([ROW], chat=True)

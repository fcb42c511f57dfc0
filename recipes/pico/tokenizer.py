"""pico's tokenizer: one token a word, a two-digit number or a punctuation mark, for all that the tasks can say."""

from __future__ import annotations

import re

from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from circuitsearch.tasks import words
from circuitsearch.tasks.docstring import TEMPLATES as DOCSTRING
from circuitsearch.tasks.docstring import function
from circuitsearch.tasks.greater_than import TEMPLATES as GREATER_THAN
from circuitsearch.tasks.greater_than import YEARS

from .facts import TEMPLATES as COUNTRY_FACTS
from .text import AGREEMENT, GENDERED_PRONOUN, IOI, LATE, LEFT_OVER

BOS, UNKNOWN = "<bos>", "<unk>"
WORD = r'\d\d|\d|[A-Za-z]+|"""|[^A-Za-z0-9\s]'
SLOT = r"\{[\w.]+\}"


def build() -> PreTrainedTokenizerFast:
    """Make the tokenizer; it puts one begin token before every text."""
    ids = {word: number for number, word in enumerate([BOS, UNKNOWN, *vocabulary()])}
    tokenizer = Tokenizer(WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = Split(Regex(WORD), behavior="removed", invert=True)  # type: ignore[assignment]
    tokenizer.post_processor = TemplateProcessing(  # type: ignore[assignment]
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=BOS, unk_token=UNKNOWN)


def vocabulary() -> list[str]:
    """All words, numbers and marks that occur in the tasks, sorted."""
    return sorted(set(re.findall(WORD, " ".join(texts()))))


def texts() -> list[str]:
    """Everything that the training text can say, templates without their slots."""
    facts = [sentence for sentences in COUNTRY_FACTS.values() for sentence in sentences]
    templates = [*IOI, *LATE, *LEFT_OVER, *GENDERED_PRONOUN, *AGREEMENT, *GREATER_THAN, *facts]
    lists = [words.NAMES, words.PLACES, words.OBJECTS, words.ROLES, words.TRAITS, words.EVENTS]
    lists += [words.ARGUMENTS, words.THINGS, [noun.replace("/", " ") for noun in words.NOUNS], *words.COUNTRIES]
    code = [function(template, ["f"] * 6, ["f"], ["f"]) for template in DOCSTRING]
    singles = [*YEARS, *"0123456789", "is are she he", ". , ; : ? ! ' \" ( )"]
    return [re.sub(SLOT, " ", template) for template in templates] + [" ".join(row) for row in lists] + code + singles

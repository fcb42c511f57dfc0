"""Tasks of the literature, each called as `task(tokenizer, n, seed)`; their names are in `circuitsearch.registry.TASKS`.

Most are definitions, TOML files of templates, word lists and a counterfactual (:func:`from_template` reads the user's own).
"""

from typing import TYPE_CHECKING, Any

from .arc import arc as arc
from .arithmetic import addition as addition
from .arithmetic import subtraction as subtraction
from .defined import from_template as from_template
from .docstring import docstring as docstring
from .greater_than import greater_than as greater_than
from .greater_than import greater_than_price as greater_than_price
from .greater_than import greater_than_sequence as greater_than_sequence
from .induction import induction as induction
from .induction import induction_tokens as induction_tokens

if TYPE_CHECKING:
    from .defined import Defined

    acronyms: Defined
    agreement: Defined
    agreement_relative: Defined
    agreement_simple: Defined
    colored_objects: Defined
    copy_suppression: Defined
    country_facts: Defined
    entity_binding: Defined
    gender_bias: Defined
    gendered_pronoun: Defined
    hypernymy: Defined
    induction_text: Defined
    ioi: Defined
    multiple_choice: Defined
    sports: Defined


def __getattr__(name: str) -> Any:
    from .defined import builtin, names

    if name not in names():
        raise AttributeError(f"module {__name__!r} has no task {name!r}")
    return builtin(name)

"""Tasks of the literature, each called as `task(tokenizer, n, seed)`; their names are in `circuitsearch.registry.TASKS`.

Most are definitions, TOML files of templates, word lists and a counterfactual (:func:`from_template` reads the user's own).
"""

from typing import TYPE_CHECKING, Any

from .defined import from_template as from_template
from .docstring import docstring as docstring
from .greater_than import greater_than as greater_than
from .induction import induction as induction

if TYPE_CHECKING:
    from .defined import Defined

    agreement: Defined
    country_facts: Defined
    gendered_pronoun: Defined
    ioi: Defined


def __getattr__(name: str) -> Any:
    from .defined import builtin, names

    if name not in names():
        raise AttributeError(f"module {__name__!r} has no task {name!r}")
    return builtin(name)

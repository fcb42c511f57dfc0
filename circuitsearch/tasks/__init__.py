"""Tasks of the literature, each a function `task(tokenizer, n, seed)`; their names are in `circuitsearch.registry.TASKS`."""

from .agreement import agreement as agreement
from .country_facts import country_facts as country_facts
from .docstring import docstring as docstring
from .gendered_pronoun import gendered_pronoun as gendered_pronoun
from .greater_than import greater_than as greater_than
from .induction import induction as induction
from .ioi import ioi as ioi

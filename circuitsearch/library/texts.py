"""The texts of a circuit in which words are searched: what the task is, the roles of nodes, what the report says."""

from __future__ import annotations

import inspect

from circuitsearch.library.source import Source
from circuitsearch.registry import TASKS

_LONGEST = 200_000  # letters of a report that are searched


def texts_of(source: Source) -> dict[str, str]:
    """Each text, empty where there is none."""
    roles = "\n".join(f"{node} {role}" for node, role in source.roles.items())
    return {"task": f"{source.task} {_about(source.task)}".strip(), "roles": roles, "report": source.told[:_LONGEST]}


def _about(task: str) -> str:
    """The first sentence about a task of this package or of another that registers tasks.

    Examples
    --------
    >>> "Indirect object" in _about("ioi")
    True
    """
    if not TASKS.names_one(task):
        return ""
    about = inspect.getdoc(TASKS.load(task.partition("(")[0])) or ""
    return about.partition("\n\n")[0]

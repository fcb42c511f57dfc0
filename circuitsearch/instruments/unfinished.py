"""What a long instrument has measured so far, in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from circuitsearch.batch import Batch
from circuitsearch.metric_contract import metric_digest
from circuitsearch.models.describe import Described
from circuitsearch.saved_state import Finished, SavedState
from circuitsearch.task import Task


def named(batch: Batch) -> str:
    """A batch's name among the steps: its prompts differ from those of any other that memory may make of the task."""
    return f"{int(batch.rows[0])}+{len(batch)}"


def finished(described: Described, task: Task, checkpoint: str | Path | None, **settings: Any) -> Finished:
    """Steps of an instrument with these settings, from a file if there is one.

    Raises
    ------
    InputError
        If the file is damaged, or of another model, task or settings.
    """

    def about() -> dict[str, Any]:
        metric = metric_digest(task.metric, next(task.batches()), described.vocabulary_size)
        prompts = task.digest(task.span_names)
        model = (described.weights_sha256, described.config_sha256, str(described.dtype))
        return {"model": model, "prompts": prompts, "metric": metric, "settings": settings}

    return Finished(SavedState(checkpoint, about))

"""What share of the model's behaviour a circuit keeps."""

from __future__ import annotations

import torch
from torch import Tensor

from circuitsearch.ablation import Ablation
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.pair import DEFAULT_MEMORY
from circuitsearch.engine.verify import verified
from circuitsearch.errors import InputError
from circuitsearch.granularity import WHOLE, Granularity
from circuitsearch.metrics import metric_name
from circuitsearch.task import Task


def ratio_of_means(circuit: Tensor, clean: Tensor, ablated: Tensor) -> Tensor:
    """(mean m(circuit) - mean m(all cut)) / (mean m(model) - mean m(all cut)), over the last dimension.

    1 where the circuit does as the model does, 0 where it does no more than with every edge cut; neither bounds it.
    """
    return (circuit - ablated).mean(-1) / (clean - ablated).mean(-1)


def bounded(circuit: Tensor, clean: Tensor, ablated: Tensor) -> Tensor:
    """1 - min(|m(model) - m(circuit)| / |m(model) - m(all cut)|, 1), prompt by prompt.

    In 0 ... 1; unlike the ratio of means it does not let one prompt's excess make up for another's want. Where cutting
    everything changes nothing, it is 1 if the circuit changes nothing either, else 0.
    """
    missed, room = (clean - circuit).abs(), (clean - ablated).abs()
    share = torch.where(room > 0, missed / room.clamp(min=torch.finfo(room.dtype).tiny), (missed > 0).to(room))
    return 1 - share.clamp(max=1)


class Faithfulness:
    """Measures circuits by the ratio of means on one task, with what all runs share computed once.

    Parameters
    ----------
    model
        A Hugging Face causal language model.
    task : Task
        N prompts.
    ablation : Ablation, optional
        What a cut edge carries; the corrupt prompt's value by default.
    granularity : Granularity
        What counts as a node of the circuits.

    Raises
    ------
    InputError
        If the model does not do the task: its metric is not above the metric with every edge cut.
    """

    def __init__(
        self,
        model: object,
        task: Task,
        ablation: Ablation | None = None,
        memory: int = DEFAULT_MEMORY,
        granularity: Granularity = WHOLE,
    ) -> None:
        self.evaluator = Evaluator(verified(model, task, granularity), task, ablation, memory)
        self.graph = self.evaluator.described.graph
        (self.clean,) = self.evaluator.clean()  # (N,)
        (ablated,) = self.evaluator.circuits(torch.zeros_like(self.graph.mask)[None])
        self.ablated = ablated[0]  # (N,)
        check_done(task, float(self.clean.mean()), float(self.ablated.mean()))

    def __call__(self, masks: Tensor, near: Tensor | None = None) -> Tensor:
        """Faithfulness (C,) of the circuits ``masks``, boolean (C, U, V).

        Where they differ little from a circuit ``near`` (U, V), naming it saves time.
        """
        (values,) = self.evaluator.circuits(masks, near=near)
        return ratio_of_means(values, self.clean, self.ablated)


def check_done(task: Task, clean: float, ablated: float) -> None:
    """Raise an InputError with the figures unless the model does the task at all."""
    if not clean > ablated:
        raise InputError(
            f"the model does not do the task {task.name!r}: its mean {metric_name(task.metric)} is {clean:.4g} on the clean prompts"
            f" and {ablated:.4g} with every edge cut, so there is no behaviour to find a circuit of;"
            " try another model, another task, or swap right and wrong answers"
        )

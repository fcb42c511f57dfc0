"""Training of a ranking, step by step, from where it was when its process was killed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.optim import Adam

from circuitsearch.progress import Progress
from circuitsearch.saved_state import SavedState


@dataclass(frozen=True)
class Training:
    """All that a step changes, and where it is kept.

    Attributes
    ----------
    optimizer : Adam
        With its parameters.
    generator : Generator
        Of all that is drawn.
    state : SavedState
        Where parameters, moments and generator are kept.
    progress : callable
        Called with (steps done, steps in all).
    """

    optimizer: Adam
    generator: Generator
    state: SavedState
    progress: Progress

    def steps(self, n: int) -> Iterator[int]:
        """The number of each step that is still to be done, of ``n``."""
        for step in range(self._restored(), n):
            yield step
            self.progress(step + 1, n)
            self.state.keep(lambda done=step + 1: self._tensors(done))

    @property
    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def _tensors(self, done: int) -> dict[str, Tensor]:
        kept = {"done": torch.tensor(done), "generator": self.generator.get_state()}
        for number, parameter in enumerate(self._parameters):
            kept[f"{number}"] = parameter.detach()
            kept |= {f"{number}.{name}": moment for name, moment in self.optimizer.state[parameter].items()}
        return kept

    def _restored(self) -> int:
        """Set parameters, moments and generator to those that were kept; how many steps led to them."""
        read = self.state.load()
        if read is None:
            return 0
        tensors = read[0]
        try:
            for number, parameter in enumerate(self._parameters):
                with torch.no_grad():
                    parameter.copy_(tensors[f"{number}"])
                moments = (name for name in tensors if name.startswith(f"{number}."))
                self.optimizer.state[parameter] = {name.partition(".")[2]: tensors[name] for name in moments}
            self.generator.set_state(tensors["generator"])
            return int(tensors["done"])
        except (KeyError, RuntimeError) as error:
            raise self.state.damaged() from error

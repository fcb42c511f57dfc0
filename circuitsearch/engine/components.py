"""The model's own attention, MLPs and unembedding as functions of a joint batch.

Nothing of the model is reimplemented: rotary positions, soft caps and sliding windows are computed by the Hugging Face
modules. An attention module is called as the model calls it, with the forwards of its projections replaced.

Legend of shapes: C copies of the batch, B prompts, R = C * B rows, T positions, D stream width, H heads, K head width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from transformers import Cache

from circuitsearch.engine.prefix import Prefix
from circuitsearch.models.describe import Described
from circuitsearch.models.parts import AnyPart, Heads, Whole
from circuitsearch.models.precision import widened

Call = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class Components:
    """The components of a model, to be run on prompts that follow a shared prefix.

    Parameters
    ----------
    described : Described
        The model.
    ids : Tensor
        (B, T) prompts after the prefix; they determine only masks and positions, which all prompts share.
    prefix : Prefix, optional
        Keys and values of the prefix (B, G, T0, K).
    calls : dict, optional
        How the model calls each part that mixes positions, if a run of one prompt has recorded it already.
    """

    described: Described
    ids: Tensor
    prefix: Prefix | None
    calls: dict[nn.Module, Call] | None = None

    @cached_property
    def _calls(self) -> dict[nn.Module, Call]:
        """How the model calls each part that mixes positions, recorded with one prompt so that it fits any number."""
        if self.calls is not None:
            return self.calls
        with recorded_calls(self.described) as calls, ExitStack() as stack:
            for _, part in self.described.heads:
                stack.enter_context(part.ungrouped())
            cache = None if self.prefix is None else self.prefix.first_row().cache()
            self.described.base_model(input_ids=self.ids[:1], past_key_values=cache, use_cache=cache is not None)
        return calls

    def attend(self, index: int, outputs: dict[nn.Module, Tensor]) -> Tensor:
        """Run an attention on its projections' outputs (R, T, features).

        Returns its heads' values (R, T, H, K) as they enter the output projection.
        """
        part = self.described.parts[index]
        assert isinstance(part, Heads)
        rows, length, _ = next(iter(outputs.values())).shape
        # An attention may read the stream through its projections only: NaN would show that it read something else.
        stand_in = next(iter(outputs.values())).new_full((), torch.nan).expand(rows, length, self.described.d_model)
        args, kwargs = self._call(part.attention, stand_in)
        joined: list[Tensor] = []

        def output_projection(values: Tensor) -> Tensor:
            joined.append(values)
            return stand_in

        with ExitStack() as stack:
            for module, output in outputs.items():
                output = output.clone() if self.described.in_place else output
                stack.enter_context(replaced_forward(module, lambda _, output=output: output))
            stack.enter_context(replaced_forward(part.o, output_projection))
            stack.enter_context(part.ungrouped(copy=False))
            part.attention.forward(*args, **kwargs)
        return rearrange(joined[0], "r t (h k) -> r t h k", h=part.n_heads)

    def run(self, index: int, normed: Tensor) -> Tensor:
        """The output (R, T, D) of a part without heads for the normalised stream ``normed`` (R, T, D)."""
        part = self.described.parts[index]
        assert isinstance(part, Whole)
        if part.kind != "mixer":
            return part.run(normed)
        args, kwargs = self._call(part.chain[0], normed)
        return part.finish(part.chain[0].forward(*args, **kwargs), normed)

    def _call(self, module: nn.Module, hidden: Tensor) -> Call:
        """The model's own call of a part, on ``hidden`` (R, T, D) after the prefix."""
        args, kwargs = self._calls[module]
        kwargs = {
            name: self.prefix if isinstance(value, Cache) else _for_rows(name, value, len(hidden))
            for name, value in kwargs.items()
        }
        return ((hidden, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": hidden})

    def unembed(self, stream: Tensor) -> Tensor:
        """Logits (R, vocabulary), in at least float32, of the final stream (R, D), by the model's own norm and unembedding."""
        result = _LastHiddenState((self.described.final_norm(stream[:, None]),))
        with replaced_forward(self.described.base_model, lambda *_, **__: result):
            return widened(self.described.model(input_ids=self.ids[:1], use_cache=False).logits[:, 0])


@contextmanager
def recorded_calls(described: Described) -> Iterator[dict[nn.Module, Call]]:
    """Record how the model calls each part during a ``with`` block."""
    calls: dict[nn.Module, Call] = {}

    def keep(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls[module] = args, kwargs

    with ExitStack() as stack:
        for module in map(_caller, described.parts):
            stack.callback(module.register_forward_pre_hook(keep, with_kwargs=True).remove)
        yield calls


class _LastHiddenState(tuple[Tensor]):
    """A base model's output, as any family reads it: the last hidden state, and None for every other field."""

    @property
    def last_hidden_state(self) -> Tensor:
        return self[0]

    def __getattr__(self, name: str) -> None:
        return None


def _caller(part: AnyPart) -> nn.Module:
    """The module whose call is recorded for a part."""
    return part.attention if isinstance(part, Heads) else part.chain[0]


def _for_rows(name: str, value: Any, rows: int) -> Any:
    """Make an argument of a call with one prompt fit ``rows`` prompts.

    Every argument has a batch dimension of 1, which broadcasts, or no batch dimension, except ``alibi``: BLOOM's is
    (heads, 1, T), and Falcon views its own as (1, heads, 1, T).
    """
    return value.repeat(rows, *[1] * (value.dim() - 1)) if name == "alibi" and isinstance(value, Tensor) else value


@contextmanager
def replaced_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Replace the forward of ``module`` for the duration of a ``with`` block."""
    original = vars(module).get("forward")  # set on the instance by libraries that place models on devices
    module.forward = forward
    try:
        yield
    finally:
        if original is None:
            del module.forward
        else:
            module.forward = original

"""Attention with another backward pass (GIM), with the signature of transformers' attention functions.

Legend of shapes: B prompts, H heads, G key-value heads, T positions computed, S positions seen, K head width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.masking_utils import AttentionMaskInterface, eager_mask
from transformers.modeling_utils import AttentionInterface

from circuitsearch.engine.routes import halved, routed
from circuitsearch.errors import InputError


@dataclass(frozen=True)
class SoftAttention:
    """Attention with two backward rules: the softmax's Jacobian is taken at a temperature, and products halve gradients.

    The pattern is softmax(s) over scores s, and the Jacobian of softmax at s / temperature is propagated. In both products,
    query times key and pattern times value, each factor receives half of its gradient, so that queries and keys receive a
    quarter and values half.
    """

    temperature: float

    def __call__(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor,
        scaling: float | None = None,
        softcap: float | None = None,
        s_aux: Tensor | None = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """Attend with ``query`` (B, H, T, K) to ``key`` and ``value`` (B, G, S, K) under an additive mask: (B, T, H, K)."""
        if s_aux is not None:
            raise InputError(
                "the attention of this model has sinks, for which GIM has no rule: use another method, such as RelP"
            )
        groups = query.shape[1] // key.shape[1]
        keys, values = (halved(tensor).repeat_interleave(groups, dim=1) for tensor in (key, value))
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        scores = halved(query) @ keys.mT * scale  # (B, H, T, S)
        if softcap is not None:
            scores = torch.tanh(scores / softcap) * softcap
        pattern = self._softmax(scores + attention_mask).to(values.dtype)
        return (halved(pattern) @ values).transpose(1, 2).contiguous(), None

    def _softmax(self, scores: Tensor) -> Tensor:
        wide = scores.to(torch.promote_types(scores.dtype, torch.float32))
        softer = torch.softmax(wide / self.temperature, dim=-1)
        return routed(torch.softmax(wide, dim=-1), softer * self.temperature)  # the chain rule's 1 / temperature undone

    @contextmanager
    def on(self, model: Any, must_serve: bool = True) -> Iterator[None]:
        """Use this attention in a model for the duration of a ``with`` block, under a name that no other model uses.

        Raises
        ------
        InputError
            If ``must_serve`` and the model's forward pass did not call it, because the model implements its own attention.
        """
        served: list[bool] = []

        def attend(*args: Any, **kwargs: Any) -> tuple[Tensor, None]:
            served.append(True)
            return self(*args, **kwargs)

        name, config, own = f"circuitsearch-{id(self)}", model.config, model.config._attn_implementation
        with ExitStack() as undo:
            for interface, function in ((AttentionInterface, attend), (AttentionMaskInterface, eager_mask)):
                interface.register(name, function)
                undo.callback(interface._global_mapping.pop, name)
            undo.callback(setattr, config, "_attn_implementation", own)
            config._attn_implementation = name
            yield
        if must_serve and not served:
            raise InputError(
                f"a {config.model_type!r} model does not use transformers' attention functions, so that GIM's rules cannot be"
                " applied: use another method, such as RelP"
            )

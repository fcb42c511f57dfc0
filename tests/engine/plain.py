"""The slow, plain way to run a circuit: one prompt at a time, one stream per port, no batching and no shared prefix.

It knows nothing of the engine: attention is recomputed by the model's own modules, once per head, with every input of
every port built by adding up writers, and a mixer by the model itself with the mixer's input put in. It is the oracle of
the fast passes.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from circuitsearch.granularity import Granularity
from circuitsearch.models.describe import Described, describe
from circuitsearch.models.parts import Experts, Heads, Neurons, Shared, Whole
from circuitsearch.names import LOGITS
from tests.conftest import granularity_of


@lru_cache(maxsize=2)  # a model with heads as nodes, and with others
def described(model, granularity: Granularity | None = None) -> Described:
    """The model's own modules, part by part; found once, as oracles run it many times."""
    return describe(model, granularity or granularity_of(model))


class PlainRun:
    """One prompt's run with cut edges, each port fed by a sum of its own.

    ``kept`` is a boolean (U, V) mask; ``ablated`` (U, T, D) holds what cut edges carry. With every edge kept this is the
    model's own run. Of a graph of other nodes, given by its ``granularity`` and the name of each position's span, the mask
    is read by the nodes' names, position by position.
    """

    def __init__(
        self, model, ids: Tensor, kept: Tensor, ablated: Tensor | None = None, granularity=None, spans=None
    ) -> None:
        self.model, self.described = model, described(model, granularity)
        self.coarse, self.graph = self.described.graph, self.described.graph.base
        self.ids, self.kept = ids[None], kept
        self.spans = [f"@{span}" for span in spans] if spans else [""] * len(ids)
        self.ablated = ablated if ablated is not None else torch.empty(0)  # never read when every edge is kept
        self.writes: list[Tensor] = []  # (T, D) each
        self.logits = self._run()

    def _input(self, column: int, constant: Tensor) -> Tensor:
        """What a port reads: (1, T, D)."""
        total = constant
        for row in range(self.graph.visible_writers(column)):
            total = total + self._carried(row, column)
        return total[None]

    def _carried(self, row: int, column: int) -> Tensor:
        """What an edge carries: (T, D)."""
        if self.coarse is self.graph:
            return self.writes[row] if self.kept[row, column] else self.ablated[row]
        live = torch.tensor([self._keeps(row, column, span) for span in self.spans])
        if live.all():
            return self.writes[row]
        return torch.where(live[:, None], self.writes[row], self.ablated[row])

    def _keeps(self, row: int, column: int, span: str) -> bool:
        """Whether the edge is kept at positions of a span."""
        writer, reader = self.graph.writers[row], self.graph.readers[column]
        if self.coarse.merged:  # a3.h1 and a3.kv0 are parts of a3
            writer, reader = (re.sub(r"^(a\d+)\.\w+", r"\1", name) for name in (writer, reader))
        writer, reader = writer + span, reader if reader == LOGITS else reader + span
        return bool(self.kept[self.coarse.writer_index[writer], self.coarse.reader_index[reader]])

    def _run(self) -> Tensor:
        embedded = self._embedded()
        self.writes.append(embedded)
        constant = torch.zeros_like(embedded)
        for stage in self.graph.stages:
            writes, after = [], constant
            for index in stage:
                writes += self._written(index, constant)
                after = after + self._constant_of(index)
            self.writes += writes
            constant = after
        final_norm: Any = self.described.final_norm.module
        end = final_norm(self._input(len(self.graph.readers) - 1, constant))
        return self._logits(end)

    def _written(self, index: int, constant: Tensor) -> list[Tensor]:
        """What each writer of a part adds to the stream: (T, D) each."""
        part: Any = self.described.parts[index]
        if isinstance(part, Heads):
            return self._written_by_heads(part, self._heads(index, constant))
        if isinstance(part, Neurons):
            return self._written_by_neurons(index, part, constant)
        if isinstance(part, Experts):
            return self._written_by_experts(index, part, constant)
        if isinstance(part, Shared):
            return [self._written_by_shared(index, part, constant)]
        return [self._written_by(index, part, constant)]

    def _constant_of(self, index: int) -> Any:
        """What a part adds that belongs to none of its writers."""
        part: Any = self.described.parts[index]
        out = part.o if isinstance(part, Heads) else part.down if isinstance(part, Neurons) else None
        return _constant(out, part.factor) if out is not None else 0

    def _embedded(self) -> Tensor:
        """The stream (T, D) as it enters the first block, or as a module there makes it."""
        embedded: list[Any] = []
        own = self.described.embedding
        if own is not None:
            handle = own.register_forward_hook(lambda _, __, output: embedded.append(output))
        else:
            handle = self.described.blocks[0].register_forward_pre_hook(
                lambda _, args, kwargs: embedded.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
            )
        self.model(self.ids)
        handle.remove()
        return embedded[0][0]

    def _logits(self, normed: Tensor) -> Tensor:
        """(T, vocabulary), by the model's own unembedding and what it does with it."""
        handle = self.model.get_output_embeddings().register_forward_pre_hook(lambda _, __: (normed,))
        logits = self.model(self.ids).logits[0]
        handle.remove()
        return logits

    def _written_by(self, index: int, part: Any, constant: Tensor) -> Tensor:
        """What a part without heads adds to the stream: (T, D)."""
        stream = self._input(self.graph.parts[index].columns.start, constant)
        normed = stream if part.norm.module is None else part.norm.module(stream)
        out = self._mixed(part, normed) if part.kind == "mixer" else _first(part.chain[0](normed))
        for module in part.chain[1:]:
            out = _first(module(out))
        out = out.reshape(stream.shape)
        if part.beside is not None:
            out = out + _first(part.beside(normed))
        return out[0] * part.factor

    def _written_by_neurons(self, index: int, part: Any, constant: Tensor) -> list[Tensor]:
        """What each neuron adds to the stream: (T, D) each, the down projection of itself alone."""
        stream = self._input(self.graph.parts[index].columns.start, constant)
        seen: list[Tensor] = []
        handle = part.down.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        out = part.norm.module(stream)
        for module in part.chain:
            out = module(out)
        handle.remove()
        neurons = seen[0][0]  # (T, F)
        nothing = part.down(torch.zeros_like(neurons))
        alone = [
            torch.zeros_like(neurons).index_copy(1, torch.tensor([n]), neurons[:, [n]]) for n in range(neurons.shape[1])
        ]
        return [(part.down(each) - nothing) * part.factor for each in alone]

    def _written_by_experts(self, index: int, part: Any, constant: Tensor) -> list[Tensor]:
        """What each expert adds to the stream (T, D): it reads its own port, and the router's sees who is to run."""
        columns = self.graph.parts[index].columns
        normed = [part.norm.module(self._input(column, constant)) for column in range(columns.start, columns.stop)]
        handed: list[Any] = []
        handle = part.experts.register_forward_pre_hook(lambda _, args: handed.append(args))
        part.chain[0](normed[-1])
        handle.remove()
        _, chosen, weights = handed[0]
        own = [torch.where(chosen == expert, weights, 0) for expert in range(part.size)]  # all others weigh nothing
        return [part.experts(h[0], chosen, weight) * part.factor for h, weight in zip(normed, own, strict=False)]

    def _written_by_shared(self, index: int, part: Any, constant: Tensor) -> Tensor:
        """What the expert that all tokens share adds to the stream: (T, D)."""
        normed = part.norm.module(self._input(self.graph.parts[index].columns.start, constant))[0]
        gate = 1 if part.gate is None else torch.sigmoid(part.gate(normed))
        return part.chain[0](normed) * gate * part.factor

    def _mixed(self, part: Whole, normed: Tensor) -> Tensor:
        """What a mixer gives in the model when it reads ``normed`` (1, T, D)."""
        given: list[Tensor] = []

        def put(_module, args, kwargs):
            return ((normed, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": normed})

        handles = [
            part.chain[0].register_forward_pre_hook(put, with_kwargs=True),
            part.chain[0].register_forward_hook(lambda _, __, output: given.append(_first(output))),
        ]
        self.model(self.ids)
        for handle in handles:
            handle.remove()
        return given[0]

    def _written_by_heads(self, part: Heads, values: Tensor) -> list[Tensor]:
        """What each head adds to the stream (T, D); under a norm its share of what that makes of all of them."""
        alone = [torch.zeros_like(values).index_copy(1, torch.tensor([h]), values[:, [h]]) for h in range(part.n_heads)]
        bias = 0 if part.o.bias is None else part.o.bias
        written = [part.o(value.flatten(-2)) - bias for value in alone]
        if part.post is None:
            return [part.factor * each for each in written]
        together = part.o(values.flatten(-2))
        share = part.post.module(together) / together
        return [part.factor * each * share for each in written]

    def _heads(self, index: int, constant: Tensor) -> Tensor:
        """Every head's value before the output projection (T, H, K), by the model's own attention with q, k, v put in."""
        layer: Any = self.described.parts[index]
        block = self.graph.parts[index].layer
        filled: dict[str, Tensor] = {}
        for port, projection in layer.ports:
            columns = self.graph.port_readers(block, port)
            streams = [self._input(column, constant) for column in range(columns.start, columns.stop)]
            normed = [stream if layer.norm.module is None else layer.norm.module(stream) for stream in streams]
            normed = [each * getattr(layer.norm, "factor", 1.0) for each in normed]
            outputs = [projection.module(each) for each in normed]
            filled[port] = torch.stack([projection.take(out)[..., h, :] for h, out in enumerate(outputs)], -2)
        captured: list[Tensor] = []
        handles: list[Any] = []
        for module, ports in layer.projections.items():

            def put(_module, _args, output, ports=ports):
                for port in ports:
                    output = layer.projection(port).put(output, filled[port])
                return output

            handles.append(module.register_forward_hook(put))
        handles.append(layer.o.register_forward_pre_hook(lambda _, args: captured.append(args[0])))
        self.model(self.ids)
        for handle in handles:
            handle.remove()
        return captured[0][0].unflatten(-1, (self.graph.n_heads, -1))


class PortRun(PlainRun):
    """The plain run with a leaf of its own added to every port's stream, so that autograd gives the gradient there."""

    def __init__(self, *args) -> None:
        self._leaves: dict[int, Tensor] = {}
        super().__init__(*args)

    def _input(self, column, constant):
        stream = super()._input(column, constant)
        self._leaves[column] = torch.zeros_like(stream[0]).requires_grad_()
        return stream + self._leaves[column]

    def gradients(self, value: Tensor) -> Tensor:
        """The gradient of a number made from the logits at every port: (V, T, D)."""
        leaves = [self._leaves[column] for column in range(len(self.graph.readers))]
        return torch.stack(torch.autograd.grad(value, leaves, materialize_grads=True))


def _constant(module, factor: float):
    """What a module adds whatever it reads."""
    bias = getattr(module, "bias", None)
    return 0 if bias is None else factor * bias


def _first(output) -> Any:
    """What a module gives, without what it gives beside it."""
    return output[0] if isinstance(output, tuple) else output


def spans_of(task, row: int, granularity) -> list[str] | None:
    """The name of the span of each position of one prompt."""
    length = len(task.clean[row])
    if granularity.positions:
        return [f"t{place}" for place in range(length)]
    if not granularity.spans:
        return None
    named = {place: name for name in granularity.spans for place in task.spans[row][name]}
    return [named.get(place, "rest") for place in range(length)]


def plain_writes(model, ids: Tensor, granularity=None) -> Tensor:
    """Every writer of the model's own run on one prompt: (U', T, D), of the graph in which the model is run."""
    whole = replace(granularity or granularity_of(model), spans=(), positions=0)
    return torch.stack(PlainRun(model, ids, described(model, whole).graph.mask, granularity=whole).writes)


def plain_circuit(model, task, kept: Tensor, ablated_of=None, granularity=None) -> Tensor:
    """The task's metric (N,) of one circuit, prompt by prompt, corrupt writes on cut edges unless told otherwise."""
    granularity = granularity or granularity_of(model)
    values = []
    for row, batch in enumerate(task.subset([row]) for row in range(len(task))):
        ablated = plain_writes(model, task.corrupt[row], granularity) if ablated_of is None else ablated_of(row)
        run = PlainRun(model, task.clean[row], kept, ablated, granularity, spans_of(task, row, granularity))
        logits = run.logits[task.position[row]][None]
        values.append(task.metric(logits, next(iter(batch.batches()))))
    return torch.cat(values)

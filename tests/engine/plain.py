"""The slow, plain way to run a circuit: one prompt at a time, one stream per port, no batching and no shared prefix.

It knows nothing of the engine: attention is recomputed by the model's own modules, once per head, with every input of
every port built by adding up writers. It is the oracle of the fast passes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from circuitsearch.models.describe import describe
from circuitsearch.models.parts import Heads, Whole


class PlainRun:
    """One prompt's run with cut edges, each port fed by a sum of its own.

    ``kept`` is a boolean (U, V) mask; ``ablated`` (U, T, D) holds what cut edges carry. With every edge kept this is the
    model's own run.
    """

    def __init__(self, model, ids: Tensor, kept: Tensor, ablated: Tensor | None = None) -> None:
        self.model, self.described = model, describe(model)
        self.graph = self.described.graph
        self.ids, self.kept = ids[None], kept
        self.ablated = ablated if ablated is not None else torch.empty(0)  # never read when every edge is kept
        self.writes: list[Tensor] = []  # (T, D) each
        self.logits = self._run()

    def _input(self, column: int, constant: Tensor) -> Tensor:
        """What a port reads: (1, T, D)."""
        total = constant
        for row in range(self.graph.visible_writers(column)):
            live = bool(self.kept[row, column])
            total = total + (self.writes[row] if live else self.ablated[row])
        return total[None]

    def _run(self) -> Tensor:
        embedded: list[Tensor] = []
        handle = self.described.blocks[0].register_forward_pre_hook(
            lambda _, args, kwargs: embedded.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
        )
        self.model(self.ids)
        handle.remove()
        self.writes.append(embedded[0][0])
        constant = torch.zeros_like(embedded[0][0])
        for stage in self.graph.stages:
            writes, after = [], constant
            for index in stage:
                part = self.described.parts[index]
                if isinstance(part, Heads):
                    writes += self._written_by_heads(part, self._heads(index, constant))
                    after = after if part.o.bias is None else after + part.factor * part.o.bias
                else:
                    writes.append(self._written_by(index, part, constant))
            self.writes += writes
            constant = after
        end = self.described.final_norm.module(self._input(len(self.graph.readers) - 1, constant))
        return self._logits(end)

    def _logits(self, normed: Tensor) -> Tensor:
        """(T, vocabulary), by the model's own unembedding and what it does with it."""
        handle = self.model.get_output_embeddings().register_forward_pre_hook(lambda _, __: (normed,))
        logits = self.model(self.ids).logits[0]
        handle.remove()
        return logits

    def _written_by(self, index: int, part: Whole, constant: Tensor) -> Tensor:
        """What a part without heads adds to the stream: (T, D)."""
        stream = self._input(self.graph.parts[index].columns.start, constant)
        out = stream if part.norm.module is None else part.norm.module(stream)
        for module in part.chain:
            out = module(out)
            out = out[0] if isinstance(out, tuple) else out
        return out[0] * part.factor

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
        layer = self.described.parts[index]
        block = self.graph.parts[index].layer
        filled: dict[str, Tensor] = {}
        for port, projection in layer.ports:
            columns = self.graph.port_readers(block, port)
            streams = [self._input(column, constant) for column in range(columns.start, columns.stop)]
            normed = [stream if layer.norm.module is None else layer.norm.module(stream) for stream in streams]
            outputs = [projection.module(each) for each in normed]
            filled[port] = torch.stack([projection.take(out)[..., h, :] for h, out in enumerate(outputs)], -2)
        captured: list[Tensor] = []
        handles = []
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


def plain_writes(model, ids: Tensor) -> Tensor:
    """Every writer of the model's own run on one prompt: (U, T, D)."""
    return torch.stack(PlainRun(model, ids, describe(model).graph.mask).writes)


def plain_circuit(model, task, kept: Tensor, ablated_of=None) -> Tensor:
    """The task's metric (N,) of one circuit, prompt by prompt, corrupt writes on cut edges unless told otherwise."""
    values = []
    for row, batch in enumerate(task.subset([row]) for row in range(len(task))):
        ablated = plain_writes(model, task.corrupt[row]) if ablated_of is None else ablated_of(row)
        logits = PlainRun(model, task.clean[row], kept, ablated).logits[task.position[row]][None]
        values.append(task.metric(logits, next(iter(batch.batches()))))
    return torch.cat(values)

"""The slow, plain way to run a circuit: one prompt at a time, one stream per port, no batching and no shared prefix.

It knows nothing of the engine: attention is recomputed by the model's own modules, once per head, with every input of
every port built by adding up writers. It is the oracle of the fast passes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from circuitsearch.models.arch import describe


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
        handle = self.described.layers[0].block.register_forward_pre_hook(
            lambda _, args, kwargs: embedded.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
        )
        self.model(self.ids)
        handle.remove()
        self.writes.append(embedded[0][0])
        constant = torch.zeros_like(embedded[0][0])
        for index, layer in enumerate(self.described.layers):
            heads = self._heads(index, constant)
            bias = 0 if layer.output_bias is None else layer.output_bias
            after = constant + bias
            mlp_in = None
            if self.graph.parallel:
                mlp_in = self._input(self.graph.mlp_reader(index), constant)
            self.writes += [heads[:, head] @ layer.output_weight[head] for head in range(self.graph.n_heads)]
            if mlp_in is None:
                mlp_in = self._input(self.graph.mlp_reader(index), after)
            self.writes.append(layer.mlp(layer.mlp_norm.module(mlp_in))[0])
            constant = after
        end = self.described.final_norm(self._input(len(self.graph.readers) - 1, constant))
        return self.model.get_output_embeddings()(end)[0]

    def _heads(self, index: int, constant: Tensor) -> Tensor:
        """Every head's value before the output projection (T, H, K), by the model's own attention with q, k, v put in."""
        layer = self.described.layers[index]
        filled: dict[str, Tensor] = {}
        for port, projection in layer.ports:
            columns = self.graph.port_readers(index, port)
            streams = [self._input(column, constant) for column in range(columns.start, columns.stop)]
            outputs = [projection.module(layer.attn_norm.module(stream)) for stream in streams]
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

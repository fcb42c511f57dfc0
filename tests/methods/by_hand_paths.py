"""Wang et al.'s path patching by hooks on the bare model, one prompt at a time: the oracle of ``sender_effect``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack

import torch
from torch import Tensor

from circuitsearch.models.parts import Whole
from circuitsearch.task import Task
from tests.conftest import attentions
from tests.engine.plain import described

Change = Callable[[Tensor], Tensor]


def two_hooked_runs(model, task: Task, senders: Iterable[str], receivers: Iterable[str], zero: bool = False) -> Tensor:
    """Metric (N,) of the second run: see :func:`circuitsearch.methods.sender_effect`; ``zero`` ablates with zeros."""
    values = []
    for row in range(len(task)):
        clean = Hooked(model, task.clean[row])
        corrupt = Hooked(model, task.corrupt[row]).writes
        if zero:
            corrupt = {name: torch.zeros_like(value) for name, value in corrupt.items()}
        instead = {name: value for name, value in clean.writes.items() if re.match(r"[as]\d", name)}
        instead |= {name: corrupt[name] for name in senders}
        first = Hooked(model, task.clean[row], writes=instead)
        second = Hooked(model, task.clean[row], reads={name: first.reads[name] for name in _ports(model, receivers)})
        batch = next(iter(task.subset([row]).batches()))
        values.append(task.metric(second.logits[task.position[row]][None], batch))
    return torch.cat(values)


def _ports(model, names: Iterable[str]) -> list[str]:
    graph = described(model).graph
    return [graph.readers[graph.find_reader(name)] for name in names]


class Hooked:
    """A run of the bare model, with some ``writes`` and ``reads`` put in; it keeps all that there were.

    A head's write is its value before the output projection, or where a norm follows that, its share of what the norm
    makes of all of them; a port's read is the projection's output for its head; an MLP's or a mixer's read is its
    normalised input, that of the logits the final norm's input.
    """

    def __init__(self, model, ids: Tensor, writes: dict | None = None, reads: dict | None = None) -> None:
        self.described = described(model)
        self.put_writes, self.put_reads = writes or {}, reads or {}
        self.writes: dict[str, Tensor] = {}
        self.reads: dict[str, Tensor] = {}
        with ExitStack() as stack, torch.no_grad():
            self._hook(stack)
            self.logits = model(ids[None]).logits[0]

    def _hook(self, stack: ExitStack) -> None:
        self._before(stack, self.described.blocks[0], lambda stream: self._write("embed", stream))
        for place, part in zip(self.described.graph.parts, self.described.parts, strict=True):
            i = place.layer
            if isinstance(part, Whole):
                name = f"s{i}" if part.kind == "mixer" else f"m{i}"
                self._after(stack, part.chain[-1], lambda output, name=name: self._write(name, output))
                self._before(stack, part.chain[0], lambda normed, name=name: self._read(f"{name}<in>", normed))
                continue
            if part.post is None:
                self._before(stack, part.o, lambda joined, i=i: self._heads(i, joined))
            else:
                self._hook_shares(stack, i, part)
            for module, ports in part.projections.items():
                self._after(stack, module, lambda output, i=i, ports=ports: self._project(i, ports, output))
        self._before(stack, self.described.final_norm.module, lambda stream: self._read("logits", stream))

    def _write(self, name: str, value: Tensor) -> Tensor:
        self.writes[name] = self.put_writes.get(name, value)
        return self.writes[name]

    def _read(self, name: str, value: Tensor) -> Tensor:
        self.reads[name] = self.put_reads.get(name, value)
        return self.reads[name]

    def _heads(self, layer: int, joined: Tensor) -> Tensor:
        n_heads = self.described.graph.n_heads
        heads = [
            self._write(f"a{layer}.h{head}", value)
            for head, value in enumerate(joined.unflatten(-1, (n_heads, -1)).unbind(-2))
        ]
        return torch.stack(heads, -2).flatten(-2)

    def _hook_shares(self, stack: ExitStack, layer: int, part) -> None:
        entered: list[Tensor] = []

        def shares(posted: Tensor) -> Tensor:
            joined = entered.pop()
            share = posted / part.o.forward(joined)
            of_heads = joined.unflatten(-1, (part.n_heads, -1))
            total = torch.zeros_like(posted)
            for head in range(part.n_heads):
                alone = torch.zeros_like(of_heads)
                alone[..., head, :] = of_heads[..., head, :]
                total = total + self._write(f"a{layer}.h{head}", part.o.forward(alone.flatten(-2)) * share)
            return total

        stack.callback(part.o.register_forward_pre_hook(lambda _, args: entered.append(args[0])).remove)
        self._after(stack, part.post.module, shares)

    def _project(self, layer: int, ports: tuple[str, ...], output: Tensor) -> Tensor:
        graph = self.described.graph
        for port in ports:
            projection = attentions(self.described)[layer].projection(port)
            names = graph.readers[graph.port_readers(layer, port)]
            heads = projection.take(output).unbind(-2)
            read = [self._read(name, value) for name, value in zip(names, heads, strict=True)]
            output = projection.put(output, torch.stack(read, -2))
        return output

    @staticmethod
    def _before(stack: ExitStack, module, change: Change) -> None:
        def hook(_, args, kwargs):
            if args:
                return (change(args[0]), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

        stack.callback(module.register_forward_pre_hook(hook, with_kwargs=True).remove)

    @staticmethod
    def _after(stack: ExitStack, module, change: Change) -> None:
        def hook(_, __, output):
            if isinstance(output, tuple):
                return change(output[0]), *output[1:]
            return change(output).clone()  # some blocks add to it in place

        stack.callback(module.register_forward_hook(hook).remove)

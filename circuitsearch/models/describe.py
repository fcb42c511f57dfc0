"""Describe a Hugging Face model: find the modules of its parts by its family's row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from inspect import signature
from typing import Any

import torch
from torch import nn

from circuitsearch.blocks import Part
from circuitsearch.errors import InputError
from circuitsearch.granularity import WHOLE, Granularity
from circuitsearch.graph import Graph
from circuitsearch.models.arch import Block
from circuitsearch.models.digest import config_sha256, weights_sha256
from circuitsearch.models.families import family
from circuitsearch.models.given import usable
from circuitsearch.models.norm import NoNorm, Norm, describe_norm
from circuitsearch.models.parts import AnyPart, Experts, Heads, Neurons, Projection, Shared, Whole, output_by_input
from circuitsearch.models.weights import runs_on


@dataclass(frozen=True)
class Described:
    """A Hugging Face causal language model with the modules of its parts; the model itself is unchanged.

    Attributes
    ----------
    base_model : Module
        The model without its unembedding.
    blocks : tuple of Module
        The model's blocks.
    parts : tuple
        Their parts, in the order of ``graph.base.parts``.
    embedding : Module, optional
        Its output is the stream before the first block; if None, the stream is the input of the first block.
    final_norm : Norm
        Before the unembedding.
    in_place : bool
        Whether the model changes the output of a projection or an MLP in place.
    graph : Graph
        Writers, readers and edges.
    causal : bool
        Whether later tokens leave the activations of earlier ones unchanged; False until verification has measured it.
    """

    model: Any
    base_model: nn.Module
    blocks: tuple[nn.Module, ...]
    parts: tuple[AnyPart, ...]
    embedding: nn.Module | None
    final_norm: Norm | NoNorm
    in_place: bool
    graph: Graph
    causal: bool = False

    @property
    def last(self) -> nn.Module:
        """The module that reads the final stream."""
        return self.final_norm.module or self.model.get_output_embeddings()

    @property
    def norms(self) -> Iterator[Norm]:
        """Every norm of the model."""
        norms = [norm for part in self.parts for norm in (part.norm, part.post, *part.inner_norms)]
        yield from (norm for norm in (*norms, self.final_norm) if isinstance(norm, Norm))

    @property
    def heads(self) -> Iterator[tuple[int, Heads]]:
        """The attentions, each with its part index."""
        yield from ((index, part) for index, part in enumerate(self.parts) if isinstance(part, Heads))

    @property
    def d_model(self) -> int:
        """Width D of the residual stream."""
        return self.model.config.hidden_size

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens."""
        return self.model.config.vocab_size

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights."""
        return weights_sha256(self.model)

    @cached_property
    def config_sha256(self) -> str:
        """SHA-256 of the configuration."""
        return config_sha256(self.model)

    @property
    def dtype(self) -> torch.dtype:
        """The stream's dtype."""
        return self.model.get_input_embeddings().weight.dtype

    @property
    def device(self) -> torch.device:
        """The device of the input."""
        return runs_on(self.model.get_input_embeddings())

    @property
    def n_positions(self) -> int | None:
        """The longest prompt that the model can read, or None if its configuration does not say."""
        names = ("max_position_embeddings", "max_seq_len")
        return next((limit for name in names if (limit := getattr(self.model.config, name, None)) is not None), None)

    @property
    def shares_prefix(self) -> bool:
        """Whether later positions read earlier ones through keys and values only."""
        return all(part.kind != "mixer" for part in self.parts)


def describe(model: Any, granularity: Granularity = WHOLE) -> Described:
    """Find the modules of every part of a Hugging Face causal language model.

    Raises
    ------
    InputError
        If its family has no row, cannot be read, or has heads that cannot be separated; or if the model is given in a form
        or state that cannot be used (see :func:`circuitsearch.models.given.usable`).
    """
    model = usable(model)
    config = model.config
    row = family(config.model_type)
    blocks, rows = _blocks(model)
    _check_divided(config, rows, granularity)
    graph = _graph(config, rows, blocks, granularity)
    parts = tuple(_described(nodes, rows[nodes.layer], blocks[nodes.layer], config) for nodes in graph.base.parts)
    if granularity.query_heads:
        parts = tuple(_ungrouped(part, graph) if isinstance(part, Heads) else part for part in parts)
    final_norm = describe_norm(model.get_submodule(row.final_norm), config.hidden_size)
    embedding = None if row.embedding is None else model.get_submodule(row.embedding)
    base_model = model.get_submodule(row.blocks.rpartition(".")[0])
    return Described(
        model, base_model, blocks, parts, embedding, final_norm, any(each.in_place for each in rows), graph
    )


def graph_of(model: Any, granularity: Granularity = WHOLE) -> Graph:
    """The graph of a model, whose weights may be on the meta device: only their shapes are read."""
    blocks, rows = _blocks(model)
    return _graph(model.config, rows, blocks, granularity)


def _blocks(model: Any) -> tuple[tuple[nn.Module, ...], list[Block]]:
    """A model's blocks, each with its row."""
    row = family(model.config.model_type)
    blocks = tuple(model.get_submodule(row.blocks))
    return blocks, [row.of(model.config, block) for block in blocks]


def _check_divided(config: Any, rows: list[Block], granularity: Granularity) -> None:
    reason = next((row.undivided for row in rows if row.undivided), None)
    if reason and not granularity.merged_heads:
        raise InputError(
            f"the heads of a {config.model_type!r} model cannot be separated: {reason};"
            " Granularity(merged_heads=True) reads each attention as one node"
        )


def _graph(config: Any, rows: list[Block], blocks: tuple[nn.Module, ...], granularity: Granularity) -> Graph:
    sizes = {_sizes(row, block, config)[:2] for row, block in zip(rows, blocks, strict=True) if "heads" in row.parts}
    if len(sizes) > 1:
        raise InputError(
            "the blocks of this model differ in how many heads share keys and values, which is not supported"
        )
    heads, kv_heads = sizes.pop() if sizes else (1, 1)
    stages = tuple(row.parts for row in rows)
    for layer in granularity.neurons:
        if not 0 <= layer < len(rows):
            raise InputError(
                f"there is no block {layer} whose neurons could be nodes: the model has {len(rows)} blocks"
            )
        neurons = f"neurons:{_n_neurons(rows[layer], blocks[layer], layer)}"
        stages = (*stages[:layer], stages[layer].replace("mlp", neurons), *stages[layer + 1 :])
    if granularity.experts:
        divided = [_divided(row, block, layer) for layer, (row, block) in enumerate(zip(rows, blocks, strict=True))]
        if not any(divided):
            raise InputError("this model has no mixture of experts that could be nodes")
        stages = tuple(
            stage.replace("mlp", word) if word else stage for stage, word in zip(stages, divided, strict=True)
        )
    if set(stages) <= {"heads>mlp"} or set(stages) <= {"heads+mlp"}:
        return Graph(len(rows), heads, kv_heads, set(stages) == {"heads+mlp"}, granularity=granularity)
    return Graph(len(rows), heads, kv_heads, blocks=stages, granularity=granularity)


def _n_neurons(row: Block, block: nn.Module, layer: int) -> int:
    """The number of neurons of a block's MLP; raises InputError if they cannot be nodes."""
    reason = None
    if "mlp" not in row.parts:
        reason = "it has no MLP"
    elif row.mlp_post_norm is not None:
        reason = "their summed output is normed before it is added to the stream"
    elif row.beside is not None or row.down is None or row.down not in dict(block.named_modules()):
        reason = "no single linear module reads all of them"
    if reason or row.down is None:
        raise InputError(f"the neurons of block {layer} cannot be nodes: {reason}")
    return output_by_input(block.get_submodule(row.down)).shape[1]


_SHARED = ("shared_expert", "shared_experts", "shared_mlp")  # names of the expert that all tokens share


def _divided(row: Block, block: nn.Module, layer: int) -> str | None:
    """How a block's mixture is written in the graph if its experts are nodes; None if it has no mixture."""
    mixture = block.get_submodule(row.mlp[0]) if "mlp" in row.parts else None
    experts = getattr(mixture, "experts", None)
    if mixture is None or experts is None:
        return None
    size = getattr(experts, "num_experts", None)
    # Hugging Face calls experts with (tokens, experts of each token, their weights), except in a few families
    called_as_usual = hasattr(experts, "down_proj") and len(signature(experts.forward).parameters) == 3
    added_up = len(row.mlp) == 1 and not row.mlp_post_norm and not row.beside
    if not added_up or not called_as_usual or size is None or _router(mixture) is None:
        raise InputError(
            f"the experts of block {layer} cannot be nodes: they are not run separately, or their outputs are not only added"
        )
    return f"experts:{size}" + ("+shared" if _child(mixture, _SHARED) is not None else "")


def _router(mixture: nn.Module) -> nn.Module | None:
    return _child(mixture, ("gate", "router"))


def _child(module: nn.Module, names: tuple[str, ...]) -> nn.Module | None:
    return next((child for name, child in module.named_children() if name in names), None)


def _experts(row: Block, block: nn.Module, config: Any, kind: str) -> Whole:
    mixture: Any = block.get_submodule(row.mlp[0])
    shared: Any = _child(mixture, _SHARED)
    router: Any = _router(mixture)
    whole = {"norm": _norm(row.mlp_norm, block, config), "factor": row.mlp_factor(config), "activation": None}
    if kind == "shared":
        gate = _child(mixture, ("shared_expert_gate",))
        return Shared(kind, chain=(shared,), mixture=mixture, gate=gate, **whole)
    experts = mixture.experts
    return Experts(kind, chain=(mixture,), experts=experts, router=router, size=experts.num_experts, **whole)


def _sizes(row: Block, block: nn.Module, config: Any) -> tuple[int, int, int]:
    """Query heads, key-value heads and head width, from the projections, since configurations name them differently."""
    heads = config.num_attention_heads
    width = output_by_input(block.get_submodule(row.o)).shape[1] // heads
    made = len(output_by_input(block.get_submodule(row.k))) // width
    return heads, (made - heads) // 2 if row.k == row.q else made, width


def _attention(row: Block, block: nn.Module, config: Any, kind: str) -> Heads:
    heads, kv_heads, width = _sizes(row, block, config)
    o = block.get_submodule(row.o)
    layout = row.layout(heads, kv_heads, width)
    q, k, v = (
        Projection(block.get_submodule(path), features)
        for path, features in zip((row.q, row.k, row.v), layout, strict=True)
    )
    attention = block.get_submodule(row.o.rpartition(".")[0])
    post = _norm(row.attn_post_norm, block, config)
    if isinstance(post, Norm) and getattr(o, "bias", None) is not None:
        raise InputError(
            "attention has an output bias before a norm, which belongs to no head: the model cannot be read"
        )
    return Heads(
        norm=_norm(row.attn_norm, block, config, row.attn_input_factor(config)),
        q=q,
        k=k,
        v=v,
        o=o,
        post=post if isinstance(post, Norm) else None,
        factor=row.attn_factor(config),
        attention=attention,
        inner_norms=tuple(_inner_norms(attention, width)),
        n_heads=heads,
    )


def _ungrouped(part: Heads, graph: Graph) -> Heads:
    """Give each query head its own k and v ports."""
    if graph.n_kv_heads == graph.n_heads:
        return part
    separate = part.q.module not in (part.k.module, part.v.module) and part.k.module is not part.v.module
    norms = [getattr(norm.module, "weight", None) for norm in part.inner_norms]
    of_each_head = len(norms) > 2 or any(weight is not None and weight.dim() > 1 for weight in norms)
    if not separate or of_each_head or part.normed_together or not hasattr(part.attention, "num_key_value_groups"):
        raise InputError(
            "the heads of this model share keys and values in a way that cannot be ungrouped:"
            " leave out query_heads and add the scores of a group's heads"
        )
    sharing = graph.n_heads // graph.n_kv_heads
    return replace(part, k=part.k.ungrouped(sharing), v=part.v.ungrouped(sharing))


def _inner_norms(attention: nn.Module, width: int) -> Iterator[Norm]:
    """Norms of queries and keys, under any name."""
    for module in attention.modules():
        if "Norm" in type(module).__name__ and not list(module.children()):
            norm = describe_norm(module, width)
            if isinstance(norm, Norm):
                yield norm


def _mlp(row: Block, block: nn.Module, config: Any, kind: str) -> Whole:
    paths = [*row.mlp, *([] if row.mlp_post_norm is None else [row.mlp_post_norm])]
    return (Neurons if kind == "neurons" else Whole)(
        kind=kind,
        norm=_norm(row.mlp_norm, block, config),
        chain=tuple(block.get_submodule(path) for path in paths),
        factor=row.mlp_factor(config),
        activation=None if row.activation is None else block.get_submodule(row.activation),
        down=None if row.down is None else block.get_submodule(row.down),
        gated=row.gated,
        beside=None if row.beside is None else block.get_submodule(row.beside),
    )


def _mixer(row: Block, block: nn.Module, config: Any, kind: str) -> Whole:
    return Whole(
        kind=kind,
        norm=_norm(row.mixer_norm, block, config),
        chain=tuple(block.get_submodule(path) for path in row.mixer),
        factor=row.mixer_factor(config),
        activation=None,
    )


def _described(nodes: Part, row: Block, block: nn.Module, config: Any) -> AnyPart:
    """Find one part's modules."""
    shifted = nodes.kind == "mixer" and nodes.letter == "m"
    return (_mlp if shifted else _PARTS[nodes.kind])(row, block, config, nodes.kind)


_PARTS: dict[str, Callable[[Block, nn.Module, Any, str], AnyPart]] = {
    "heads": _attention,
    "mlp": _mlp,
    "neurons": _mlp,
    "experts": _experts,
    "shared": _experts,
    "mixer": _mixer,
}


def _norm(path: str | None, block: nn.Module, config: Any, factor: float = 1.0) -> Norm | NoNorm:
    if path is None:
        return NoNorm()
    norm = describe_norm(block.get_submodule(path), config.hidden_size)
    return replace(norm, factor=factor) if isinstance(norm, Norm) else norm

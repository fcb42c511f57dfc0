"""Names of nodes: how they are built, and how other tools spell them."""

from __future__ import annotations

import re
from collections.abc import Callable

from circuitsearch.blocks import Part
from circuitsearch.errors import InputError, shortened, unknown

EMBED, LOGITS = "embed", "logits"
PORTS = ("q", "k", "v")


def ends_of(edge: str) -> tuple[str, str]:
    """Writer and reader of an edge's name; raises an InputError if it is none.

    Examples
    --------
    >>> ends_of("a0.h1->a2.h3<q>")
    ('a0.h1', 'a2.h3<q>')
    """
    writer, arrow, reader = edge.partition("->")
    if not arrow:
        raise InputError(f"{shortened(repr(edge))} is not an edge: write it as 'a0.h1->a2.h3<q>'")
    return writer, reader


def writers_of(part: Part, merged: bool) -> list[str]:
    """Names of a part's writers; ``merged`` heads are one writer."""
    name = f"{part.letter}{part.layer}"
    if part.kind in ("mlp", "mixer") or (part.kind == "heads" and merged):
        return [name]
    if part.kind == "shared":
        return [f"{name}.shared"]
    each = {"heads": "h", "neurons": "n", "experts": "e"}[part.kind]
    return [f"{name}.{each}{index}" for index in range(part.size)]


def readers_of(part: Part, merged: bool, key_heads: int) -> list[str]:
    """Names of a part's readers; a block has ``key_heads`` k ports and as many v ports."""
    writers = writers_of(part, merged)
    if part.kind == "heads":
        shared = not merged and key_heads < part.size
        groups = [f"a{part.layer}.kv{group}" for group in range(key_heads)] if shared else writers
        return [f"{owner}<{port}>" for port in PORTS for owner in (writers if port == "q" else groups)]
    if part.kind == "shared":
        return [f"{name}<in>" for name in writers]
    name = f"{part.letter}{part.layer}"
    experts = [f"{writer}<in>" for writer in writers] if part.kind == "experts" else []
    return [*experts, f"{name}.router<in>" if experts else f"{name}<in>"]


def _port(found: re.Match[str]) -> str:
    return f"a{found[1]}.h{found[2]}<{found[3].lower()}>"


# Other tools' spellings: the pattern, and the canonical name that replaces it.
_SPELLINGS: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"input|hook_embed|blocks\.0\.hook_resid_pre|Resid Start|tok_embeds|pos_embeds|embeds", EMBED),
    (r"output|resid_final|blocks\.\d+\.hook_resid_post|Resid End|resid_post", LOGITS),
    (r"A?(\d+)\.(\d+)", r"a\1.h\2"),
    (r"[Aa](\d+)\.h?(\d+)\.([QKVqkv])", _port),
    (r"[LA](\d+)\.?H(\d+)", r"a\1.h\2"),
    (r"(?:MLP|mlp) ?(\d+)", r"m\1"),
    (r"blocks\.(\d+)\.hook_mlp_out", r"m\1"),
    (r"blocks\.(\d+)\.hook_mlp_in", r"m\1<in>"),
    (r"blocks\.(\d+)\.attn\.hook_(?:z|result)\D*(\d+)\]?", r"a\1.h\2"),
    (r"blocks\.(\d+)\.(?:attn\.)?hook_([qkv])(?:_input)?\D*(\d+)\]?", r"a\1.h\3<\2>"),
]


def canonical_name(name: str) -> str:
    """Translate another tool's spelling of a node into the canonical name; other names are returned unchanged.

    Examples
    --------
    >>> [canonical_name(name) for name in ("9.9<q>", "L9H9", "blocks.9.attn.hook_z.9", "input", "MLP 3")]
    ['a9.h9<q>', 'a9.h9', 'a9.h9', 'embed', 'm3']
    >>> [canonical_name(name) for name in ("blocks.1.hook_k_input[:, :, 3]", "A1.3.K", "a1.h3.k", "Resid Start", "resid_post")]
    ['a1.h3<k>', 'a1.h3<k>', 'a1.h3<k>', 'embed', 'logits']
    """
    node, at, span = name.strip().partition("@")
    owner, bracket, port = node.partition("<")
    for pattern, replacement in _SPELLINGS:
        if re.fullmatch(pattern, owner):
            return re.sub(pattern, replacement, owner) + bracket + port + at + span
    return name.strip()


LABELS = {"a9.h9": r"a\1.h\2", "L9H9": r"L\1H\2", "9.9": r"\1.\2"}
"""How figures may write a head."""


def spelled(name: str, labels: str) -> str:
    """A component's canonical name as a figure writes it, in one of the :data:`LABELS`; :func:`canonical_name` reads it back.

    Raises
    ------
    InputError
        If ``labels`` is none of them.

    Examples
    --------
    >>> [spelled(name, "9.9") for name in ("a9.h9", "m3", "logits")], spelled("a9.h9", "L9H9")
    (['9.9', 'MLP 3', 'logits'], 'L9H9')
    """
    if labels not in LABELS:
        raise unknown("labels", labels, LABELS)
    if labels == "a9.h9":
        return name
    return re.sub(r"^m(\d+)$", r"MLP \1", re.sub(r"^a(\d+)\.h(\d+)$", LABELS[labels], name))


def canonical_reader(name: str, n_heads: int, key_heads: int) -> str:
    """Translate a spelling of a reader; an MLP's name means its input, and a head's k or v port means that of its group.

    Examples
    --------
    >>> canonical_reader("m3", n_heads=4, key_heads=2), canonical_reader("1.3<k>@END", n_heads=4, key_heads=2)
    ('m3<in>', 'a1.kv1<k>@END')
    """
    canonical, at, span = canonical_name(name).partition("@")
    if re.fullmatch(r"[ms]\d+|m\d+\.(e\d+|shared|router)", canonical):
        canonical += "<in>"
    head = re.fullmatch(r"a(\d+)\.h(\d+)<([kv])>", canonical)
    if head and key_heads < n_heads:
        layer, index, port = int(head[1]), int(head[2]), head[3]
        canonical = f"a{layer}.kv{index * key_heads // n_heads}<{port}>"
    return canonical + at + span

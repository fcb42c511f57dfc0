"""Reading a module's weights on any device and in any format.

Accelerate may keep them on the CPU or on disk until the module runs; quantised modules store them in fewer bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from circuitsearch.errors import InputError
from circuitsearch.models.offload import offloading, on_its_device

PLAIN = (Tensor, nn.Parameter)  # a subclass may stand for other numbers than those that it stores


def read_weight(module: Any) -> Tensor:
    """A module's weight as plain floating-point numbers, on the device on which the module runs.

    Raises
    ------
    InputError
        If it is quantised, or changed by an adapter, in a way that cannot be read.
    """
    with on_its_device(module):
        return plain(module, module.weight) if getattr(module, "base_layer", None) is None else _adapted(module)


def read_bias(module: Any) -> Tensor | None:
    """A module's bias on the device on which the module runs, or None if it has none."""
    if getattr(module, "bias", None) is None:
        return None
    with on_its_device(module):
        return module.bias


def runs_on(module: Any) -> torch.device:
    """The device on which a module runs."""
    hook = offloading(module)
    return module.weight.device if hook is None else torch.device(hook.execution_device)


def all_weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a model's state, in the order of their names, each on the device on which its module runs."""
    for name, tensor in sorted(model.state_dict(keep_vars=True).items()):
        owner, _, own = name.rpartition(".")
        if not isinstance(tensor, Tensor):  # what a quantised module keeps beside its weight
            continue
        if tensor.device.type != "meta":
            yield name, _unpacked(tensor)
            continue
        module = model.get_submodule(owner)
        with on_its_device(module):
            yield name, getattr(module, own)


def is_finite(weight: Tensor) -> bool:
    """Whether a tensor has no NaN and no infinity; without a copy, as ``isfinite`` makes several of an embedding."""
    if not weight.is_floating_point() or weight.numel() == 0:
        return True
    return all(math.isfinite(end) for end in weight.detach().aminmax())


def plain(module: Any, weight: Any) -> Tensor:
    """The weight of a module as plain floating-point numbers."""
    if type(weight) in PLAIN and weight.is_floating_point():
        return weight
    kind = type(module).__name__
    if kind == "Linear4bit" and getattr(weight, "quant_state", None) is not None:
        from bitsandbytes.functional import dequantize_4bit  # pyright: ignore[reportMissingImports]

        return dequantize_4bit(weight.data, weight.quant_state)
    if kind == "Linear8bitLt":
        scale = getattr(weight, "SCB", None)
        scale = module.state.SCB if scale is None else scale
        if scale is not None and weight.shape[0] == len(scale):
            return (weight.data.float() * (scale.float()[:, None] / 127)).to(torch.float16)
    unpacked = _unpacked(weight)
    if type(unpacked) in PLAIN and unpacked.is_floating_point():
        return unpacked
    raise InputError(
        f"the weights of a {kind} ({type(weight).__name__}, {weight.dtype}) are quantised in a way that cannot be read:"
        " load the model in bfloat16, or quantised by torchao or bitsandbytes"
    )


def _adapted(module: Any) -> Tensor:
    """The weight of a module that PEFT wraps, with its active LoRA adapters applied."""
    weight = plain(module.base_layer, module.base_layer.weight)
    if module.merged or module.disable_adapters:
        return weight
    for adapter in module.active_adapters:
        if adapter in getattr(module, "lora_A", ()) and not _not_plain_lora(module, adapter):
            weight = weight + module.get_delta_weight(adapter).to(weight)
        elif any(adapter in getattr(module, names) for names in module.adapter_layer_names):
            raise InputError(
                f"the adapter {adapter!r} on a {type(module.base_layer).__name__} is not plain LoRA, so that its weight"
                " cannot be read: merge it first, with model.merge_and_unload()"
            )
    return weight


def _not_plain_lora(module: Any, adapter: str) -> bool:
    """Whether the adapter does more to a linear module than to add a matrix to its weight."""
    return adapter in getattr(module, "lora_variant", ()) or module.lora_B[adapter].bias is not None


def _unpacked(weight: Tensor) -> Tensor:
    """A torchao tensor as plain numbers; any other as it is."""
    if type(weight) in PLAIN or "torchao" not in type(weight).__module__:
        return weight
    return weight.dequantize()

"""Weights that accelerate keeps elsewhere, on the CPU, on disk or on another accelerator, and brings when their module runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from circuitsearch.errors import InputError

KEEPERS = ("cpu", "disk")  # places of a device map that run nothing if there is an accelerator


def offloading(module: Any) -> Any:
    """The hook by which accelerate brings a module's weights to its device when it runs, or None."""
    hook = getattr(module, "_hf_hook", None)
    hooks = getattr(hook, "hooks", (hook,))  # one hook may contain several
    return next((each for each in hooks if getattr(each, "offload", False)), None)


def on_its_device(module: Any) -> AbstractContextManager[None]:
    """Bring the module's weights to the device on which it runs, for the duration of a ``with`` block."""
    if offloading(module) is None:
        return nullcontext()
    from accelerate.utils import align_module_device  # pyright: ignore[reportMissingImports]

    return align_module_device(module)


def run_on_first(model: Any) -> None:
    """Let every module of a model that is spread over several accelerators run on the first of them.

    From then on the others only keep weights.

    Raises
    ------
    InputError
        If the model is quantised.
    """
    places: dict[str, Any] = getattr(model, "hf_device_map", None) or {}
    first, *others = dict.fromkeys(place for place in places.values() if str(place) not in KEEPERS) or ("cpu",)
    if not others:
        return
    if getattr(model.config, "quantization_config", None) is not None:
        raise InputError(
            f"the device map puts a quantised model on several devices, {first}, {', '.join(map(str, others))}: all of it must"
            " be on one; give the map of one device, or load the model in bfloat16"
        )
    from accelerate.hooks import (  # pyright: ignore[reportMissingImports]
        attach_align_device_hook,
        remove_hook_from_submodules,
    )

    for name, place in places.items():
        module = model.get_submodule(name)
        if place in others:
            remove_hook_from_submodules(module)
            attach_align_device_hook(module, torch.device(first), offload=True, weights_map=dict(module.state_dict()))


@contextmanager
def brought_again(model: nn.Module) -> Iterator[None]:
    """Let autograd keep no weight that was brought: it is brought again for the backward pass.

    Else all modules' weights would be on one device when the forward pass ends.
    """
    modules = [module for module in model.modules() if offloading(module) is not None]

    def keep(saved: Tensor) -> Tensor | _Brought:
        if saved.requires_grad or not saved.is_floating_point():
            return saved
        storage = saved.untyped_storage().data_ptr()
        for module in modules:
            for name, weight in module.named_parameters(recurse=False):
                if not weight.is_meta and weight.untyped_storage().data_ptr() == storage:
                    return _Brought(module, name, saved.dtype, saved.shape, saved.stride(), int(saved.storage_offset()))
        return saved

    def bring(kept: Tensor | _Brought) -> Tensor:
        return kept.again() if isinstance(kept, _Brought) else kept

    with torch.autograd.graph.saved_tensors_hooks(keep, bring) if modules else nullcontext():
        yield


@dataclass(frozen=True)
class _Brought:
    """A view of a module's weight."""

    module: nn.Module
    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    def again(self) -> Tensor:
        """The view, of the weight that is brought anew."""
        hook = offloading(self.module)
        weight = hook.weights_map[self.name].to(hook.execution_device, self.dtype)
        return weight.as_strided(self.shape, self.stride, self.offset)

"""Two accelerators, emulated on the CPU: a tensor of another device type that computes like a tensor on the CPU.

As on a real one, operations on tensors of different devices raise, and as on Apple's there is no float64. ``reads`` counts what makes the
program wait for a real accelerator: numbers and shapes that Python reads from it, and copies to the CPU. To be imported in a process of
its own, since torch keeps a new device type for the whole process.
"""

from __future__ import annotations

import traceback
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

KIND = "emulated"
FIRST, SECOND = torch.device("cpu"), torch.device("cpu")  # set below, once the kind is known

WAITS = {
    "aten::_local_scalar_dense",
    "aten::is_nonzero",
    "aten::nonzero",
    "aten::masked_select",
    "aten::_unique2",
    "aten::unique_dim",
}
COPIES = {"aten::_to_copy", "aten::copy_"}
reads: Counter[str] = Counter()  # by the place in circuitsearch, or "model" inside transformers


class _Backend:
    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        pass

    def device_count(self) -> int:
        return 2


_setup_privateuseone_for_python_backend(KIND, _Backend())
FIRST, SECOND = torch.device(KIND, 0), torch.device(KIND, 1)


class Emulated(Tensor):
    """A tensor on an emulated device; ``here`` is the tensor on the CPU that holds its numbers."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor, device: torch.device | None = None, requires_grad: bool = False) -> Emulated:
        if isinstance(here, Emulated):  # as parameters are made of tensors
            here, device = here.here, here.device
        if here.dtype == torch.float64:
            raise TypeError("there is no float64 on this device")
        made = Tensor._make_wrapper_subclass(  # pyright: ignore[reportAttributeAccessIssue]
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=device,
        )
        made.here = here
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.here.untyped_storage()

    def __repr__(self, **_: Any) -> str:
        return f"{self.here!r} on {self.device}"


def _compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    ours = [tensor for tensor in tensors if isinstance(tensor, Emulated)]
    name, copies = func._schema.name, func._schema.name in COPIES
    if not copies:
        _check_together(name, tensors)
    device: Any = kwargs.get("device") or (tensors[0].device if copies else ours[0].device if ours else "cpu")
    if ours and (name in WAITS or (copies and torch.device(device).type == "cpu")):
        _count()
    plain_args, plain_kwargs = tree_map(_plain, (args, kwargs))
    result = func(*plain_args, **plain_kwargs)
    known = {id(tensor.here): tensor for tensor in ours}  # of operations in place

    def wrapped(value: Any) -> Any:
        if ours and isinstance(value, Tensor) and torch.device(device).type == "meta":
            return nn.Parameter(
                value, requires_grad=False
            )  # accelerate makes parameters anew of the kind that it finds
        if not isinstance(value, Tensor) or torch.device(device).type != KIND:
            return value
        return known[id(value)] if id(value) in known else Emulated(value, _with_index(device))

    return tree_map(wrapped, result)


def _check_together(name: str, tensors: list[Tensor]) -> None:
    """Refuse tensors of several devices; numbers and indices may come from the CPU, as on a real accelerator."""
    devices = {tensor.device for tensor in tensors if isinstance(tensor, Emulated)}
    others = [tensor for tensor in tensors if not isinstance(tensor, Emulated) and tensor.dim() > 0]
    if len(devices) > 1 or (devices and others and not name.startswith(("aten::index", "aten::_index"))):
        raise RuntimeError(f"{name}: tensors on {sorted(map(str, devices))}" + (" and on the CPU" if others else ""))


def _count() -> None:
    for frame in reversed(traceback.extract_stack()):
        for package in ("circuitsearch", "transformers"):
            if f"/{package}/" in frame.filename:
                place = frame.filename.rpartition(f"/{package}/")[2]
                reads[f"{place}: {frame.line}" if package == "circuitsearch" else "model"] += 1
                return


def _plain(value: Any) -> Any:
    if isinstance(value, Emulated):
        return value.here
    return torch.device("cpu") if isinstance(value, torch.device) and value.type == KIND else value


def _with_index(device: Any) -> torch.device:
    device = torch.device(device)
    return device if device.index is not None else FIRST


class Factories(TorchFunctionMode):
    """What Python's dispatcher is not asked for: tensors made on the device, indices in lists, tensors as lists."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        device = kwargs.get("device")
        if device is not None and func is not Tensor.to and torch.device(device).type == KIND:
            return func(*args, **{**kwargs, "device": torch.device("cpu")}).to(_with_index(device))
        if func in (Tensor.tolist, Tensor.numpy) and isinstance(args[0], Emulated):
            _count()
            return func(args[0].here)
        if func in (Tensor.__getitem__, Tensor.__setitem__) and isinstance(args[0], Emulated):
            index = args[1]
            index = tuple(map(_as_index, index)) if isinstance(index, tuple) else _as_index(index)
            return func(args[0], index, *args[2:])
        return func(*args, **kwargs)


def _as_index(index: Any) -> Any:
    return torch.tensor(index) if isinstance(index, list) and index else index


_library = torch.library.Library("_", "IMPL")  # its registrations end with it
_library.fallback(
    lambda func, *args, **kwargs: _compute(func, args, kwargs), dispatch_key="PrivateUse1", with_keyset=False
)

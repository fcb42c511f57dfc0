"""The safetensors files of a model's folder: checked and counted by their headers, and read in another dtype."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from circuitsearch.errors import InputError, shortened
from circuitsearch.files import read_json

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Stored:
    """How many tensors files have, how many numbers are in them, and of which dtypes, as safetensors names them."""

    tensors: int
    numbers: int
    dtypes: frozenset[str] = frozenset()


def stored_numbers(folder: Path) -> Stored:
    """Count what the safetensors files of a folder hold; only their headers are read.

    Raises
    ------
    InputError
        If there are none, one is broken, or their index names another file.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError(
            f"the model folder {folder} has no weights: it needs model.safetensors (other formats are not read)"
        )
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        _check_index(index)
    tensors = [tensor for file in files for tensor in _headers(file)]
    return Stored(len(tensors), sum(size for size, _ in tensors), frozenset(dtype for _, dtype in tensors))


def read_in(folder: Path, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """All tensors of a folder in a dtype.

    Each is mapped from its file, converted and let go before the next one, so that no more than one is in memory twice: the pages of
    a mapped file count as the process's memory.
    """
    from safetensors import safe_open

    found: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            names = list(opened.keys())
        for name in names:
            with safe_open(file, "pt") as opened:
                tensor = opened.get_tensor(name)
                found[name] = tensor.to(dtype) if tensor.is_floating_point() else tensor.clone()
    return found


def _headers(file: Path) -> list[tuple[int, str]]:
    """The number of numbers in each tensor of a file, and their dtype."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            slices = [opened.get_slice(name) for name in opened.keys()]  # noqa: SIM118
            return [(prod(each.get_shape()), each.get_dtype()) for each in slices]
    except (OSError, SafetensorError) as error:
        problem = shortened(str(error).partition("\n")[0].rstrip("."), 100)
        raise InputError(f"{file} is broken ({problem}): download or save it again") from None


class _Index(BaseModel):
    weight_map: dict[str, str]


def _check_index(index: Path) -> None:
    """Weights are read only from safetensors files in the folder of their index."""
    for name in sorted(set(read_json(index, "an index of weights", _Index).weight_map.values())):
        if Path(name).name != name or "\\" in name or not name.endswith(".safetensors"):
            raise InputError(
                f"{index} names {name!r}, which is not a safetensors file in its folder: other files are not read; save the"
                " model again with save_pretrained"
            )
        if not (index.parent / name).is_file():
            raise InputError(f"{index} names {name!r}, which does not exist: download it too")

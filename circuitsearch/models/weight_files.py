"""The safetensors files of a model's folder, checked and counted by their headers."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

from pydantic import BaseModel

from circuitsearch.errors import InputError, shortened
from circuitsearch.files import read_json


@dataclass(frozen=True)
class Stored:
    """How many tensors files have, and how many numbers are in them."""

    tensors: int
    numbers: int


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
    sizes = [size for file in files for size in _sizes(file)]
    return Stored(len(sizes), sum(sizes))


def _sizes(file: Path) -> list[int]:
    """The number of numbers in each tensor of a file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            return [prod(opened.get_slice(name).get_shape()) for name in opened.keys()]  # noqa: SIM118
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

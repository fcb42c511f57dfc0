"""The header of a GGUF file: its metadata and the sizes of its tensors, checked before anything large is read.

The package gguf makes an object of every token, which takes a quarter of a minute for a vocabulary of 262,144, and of a
file that is cut off it says in which array an index was too large.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from circuitsearch.errors import InputError, shortened

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9  # the other kinds of values
_DEFAULT_ALIGNMENT = 32


@dataclass(frozen=True)
class Tensor:
    """A tensor's entry: its name, shape, type as a number, and offset in bytes from the start of the data."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def n_elements(self) -> int:
        """The number of its elements."""
        return prod(self.shape)


@dataclass(frozen=True)
class Header:
    """Metadata (of arrays only the length), tensors, and where the tensors' data starts, in bytes, and is aligned to."""

    metadata: dict[str, Any]
    tensors: tuple[Tensor, ...]
    data_start: int
    alignment: int


def is_gguf(path: Path) -> bool:
    """Whether a file is GGUF, by its first bytes or by its name."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC or path.suffix == ".gguf"


def read_header(path: Path) -> Header:
    """Read the header of a GGUF file.

    Raises
    ------
    InputError
        If the file is not GGUF, of an unknown version, damaged, cut off, or joined from the wrong parts.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            header = _Reader(content).header()
            size = len(content)
    except (
        struct.error,
        ValueError,
        OverflowError,
        KeyError,
        RecursionError,
    ) as error:  # ValueError also of mmap, when empty
        raise InputError(f"{_shown(path)} is not a GGUF file, or its start is damaged ({error}): {_AGAIN}") from None
    _check_parts(path, header)
    _check_size(path, header, size)
    return header


_AGAIN = "download it again, and join parts in their order"


def _shown(path: Path) -> str:
    return shortened(path, 100)


def _check_parts(path: Path, header: Header) -> None:
    count = header.metadata.get("split.count", 0)
    if count > 1:
        raise InputError(f"{_shown(path)} is one of {count} parts of a model: join them with llama-gguf-split --merge")


def _check_size(path: Path, header: Header, size: int) -> None:
    """A part that is missing makes a file shorter, and one that is there twice longer, than its tensors."""
    ends = [header.data_start + tensor.offset + _bytes_of(path, tensor) for tensor in header.tensors]
    needed = max(ends, default=header.data_start)
    if not needed <= size < needed + header.alignment:
        problem = "cut off" if size < needed else "joined from the wrong parts"
        raise InputError(f"{_shown(path)} has {size:,} bytes, its tensors need {needed:,}: it is {problem}; {_AGAIN}")


def _bytes_of(path: Path, tensor: Tensor) -> int:
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    try:
        elements, size = GGML_QUANT_SIZES[GGMLQuantizationType(tensor.kind)]
    except (ValueError, KeyError):
        raise InputError(
            f"{_shown(path)} has tensors of the unknown type {tensor.kind} ({shortened(tensor.name)}), which cannot be read:"
            " take another quantisation of the model, such as Q8_0 or Q4_K_M"
        ) from None
    return tensor.n_elements // elements * size


class _Reader:
    """Reads values one after another; a struct.error at the end of the content."""

    def __init__(self, content: Any) -> None:
        self.content, self.at = content, 0

    def header(self) -> Header:
        if self.content[:4] != MAGIC:
            raise ValueError("it does not begin with GGUF")
        self.at = 4
        version, n_tensors, n_values = self.take("IQQ")
        if version not in _VERSIONS:
            raise ValueError(f"version {version} of the format is not read, only {_VERSIONS}")
        metadata = {self.text(): self.value(self.take("I")[0]) for _ in range(n_values)}
        tensors = tuple(self.tensor() for _ in range(n_tensors))
        alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1:
            raise ValueError(f"its alignment is {alignment}")
        return Header(metadata, tensors, -(-self.at // alignment) * alignment, alignment)

    def take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{form}", self.content, self.at)
        self.at += struct.calcsize(f"<{form}")
        return values

    def text(self) -> str:
        return self.take(f"{self.take('Q')[0]}s")[0].decode()

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        return self.array() if kind == _ARRAY else self.take(_SCALARS[kind])[0]

    def array(self) -> int:
        """Pass over an array; its length."""
        kind, length = self.take("IQ")
        if kind in _SCALARS:
            self.pass_over(length * struct.calcsize(_SCALARS[kind]))
        else:
            for _ in range(length):
                self.pass_over(self.take("Q")[0]) if kind == _STRING else self.value(kind)
        return length

    def pass_over(self, size: int) -> None:
        self.at += size
        if self.at > len(self.content):
            raise ValueError("it ends within a list")

    def tensor(self) -> Tensor:
        name, n_dimensions = self.text(), self.take("I")[0]
        shape = self.take(f"{n_dimensions}Q")
        return Tensor(name, shape, *self.take("IQ"))

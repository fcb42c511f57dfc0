"""Tensors in the files of ``torch.save``, read without running code and with bounded memory."""

from __future__ import annotations

import io
import pickletools
import zipfile
from pathlib import Path
from typing import Any

from circuitsearch.errors import InputError, shortened
from circuitsearch.files import MOST_BYTES, check_size

# All that a dictionary of tensors, lists and numbers needs.
_STORAGES = ("Float", "Double", "Half", "BFloat16", "Bool", "Long", "Int", "Byte")
_ALLOWED = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch {kind}Storage" for kind in _STORAGES),
}
_BY_NAME, _OTHERS = {"GLOBAL"}, {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}
_MOST_PICKLED = 1 << 24  # bytes of the pickle, which holds names and shapes


def read_torch(path: str | Path, what: str, limit: int = MOST_BYTES * 8) -> Any:
    """Read a file of ``torch.save`` that holds tensors, numbers, texts, lists and dictionaries.

    Its pickle is checked before it is loaded: it may call nothing but what rebuilds tensors. Tensors are mapped from the file, so that none
    is larger than it.

    Raises
    ------
    InputError
        If it is another kind of file, would run code, is damaged or is larger than ``limit`` bytes.
    """
    import torch

    check_size(path, what, limit)
    _check_pickle(path, what)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch's own, pickle's and the zip reader's
        raise InputError(f"{shortened(path, 100)} is not {what} ({shortened(error, 100)}): give another file") from None


def _check_pickle(path: str | Path, what: str) -> None:
    """Raise an InputError if the pickle of the file would call something that does not rebuild tensors."""
    name = shortened(path, 100)
    for called in _called(_pickle_in(path, what), f"{name} is not {what}"):
        if called not in _ALLOWED:
            raise InputError(
                f"{name} is a pickle that would run code ({shortened(called.replace(' ', '.'))}), and was not loaded: save its"
                " tensors alone, or as JSON"
            )


def _called(pickled: bytes, problem: str) -> list[str]:
    """What a pickle imports, as ``module name``."""
    try:
        codes = [(code.name, argument) for code, argument, _ in pickletools.genops(io.BytesIO(pickled))]
    except Exception as error:  # of many kinds, for damaged ones
        raise InputError(f"{problem} (its pickle is damaged: {shortened(error, 60)}): give another file") from None
    return [str(argument) if code in _BY_NAME else code for code, argument in codes if code in _BY_NAME | _OTHERS]


def _pickle_in(path: str | Path, what: str) -> bytes:
    """The pickle in a file: of the zip archives that ``torch.save`` writes, or a bare one, to say what it would do."""
    name = shortened(path, 100)
    try:
        with zipfile.ZipFile(path) as archive:
            found = next((each for each in archive.infolist() if each.filename.endswith("/data.pkl")), None)
            if found is not None and found.file_size <= _MOST_PICKLED and found.compress_type == zipfile.ZIP_STORED:
                return archive.read(found)
    except Exception as error:  # zipfile's own and others, for damaged ones
        _check_bare(path, what)
        raise InputError(f"{name} is not {what} ({shortened(error, 60)}): give another file") from None
    raise InputError(f"{name} is not {what} (no torch.save wrote it): give another file")


def _check_bare(path: str | Path, what: str) -> None:
    """Refuse a pickle outside of an archive, as older versions of torch and ``pickle.dump`` write it."""
    with Path(path).open("rb") as file:
        if file.read(1) == b"\x80":
            raise InputError(
                f"{shortened(path, 100)} is a bare pickle, which may run code, and was not loaded: save it again with a"
                f" present-day torch.save, or as JSON, to be {what}"
            )

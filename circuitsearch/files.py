"""Readers and writers of files: sizes are bounded, content is checked by a schema, and all written JSON is valid.

Readers raise :class:`InputError` with the file and the position in it. Writers write a temporary file in the same folder
and rename it when it is complete.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from glob import escape
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, NoReturn, TypeVar

from circuitsearch.errors import InputError, shortened

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError
    from torch import Tensor

Schema = TypeVar("Schema")

PART = ".part-"  # how the name of a file begins that is being written
MOST_BYTES = 1 << 26  # largest size of most kinds of files
_MOST_HEADER_BYTES = 1 << 24  # of a safetensors file's header
_INTEGERS = range(-(2**63), 2**64)  # 64 bits, signed or unsigned
_AT_ONCE = 1 << 16  # items of a list that are encoded together
_SURROGATE = re.compile(r"\\ud[89a-f]", re.IGNORECASE)


# ---- text and JSON

STRICT: Any = {
    "extra": "forbid",
    "strict": True,
}  # the __pydantic_config__ of dataclasses that are read from files


class _NullIsNan:
    """Makes pydantic read null as NaN, which is written as null."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core.core_schema import no_info_before_validator_function

        return no_info_before_validator_function(lambda value: math.nan if value is None else value, handler(source))

    def __get_pydantic_json_schema__(self, core: Any, handler: Callable[[Any], Any]) -> Any:
        return {"anyOf": [handler(core), {"type": "null"}]}


Number = Annotated[float, _NullIsNan()]  # a field that may be NaN


def read_text(path: str | Path, what: str, limit: int = MOST_BYTES) -> str:
    """Read a text file in UTF-8, or in UTF-16 or UTF-32 as some editors save it, with a byte order mark or without.

    Parameters
    ----------
    path : path
        The file.
    what : str
        The kind of file, for messages: ``"a file of roles"``.
    limit : int
        Largest size in bytes.

    Raises
    ------
    InputError
        If it does not exist, is not a regular file, is larger, or is not text.
    """
    content = read_bytes(path, what, limit)
    try:
        return content.decode(json.detect_encoding(content))
    except UnicodeDecodeError as error:
        raise InputError(f"{_name(path)} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None


def read_json(
    path: str | Path, what: str, schema: type[Schema], limit: int = MOST_BYTES, *, nan: bool = False
) -> Schema:
    """Read a JSON file as a value of ``schema``, any type that pydantic can check, strictly.

    Parameters
    ----------
    path, what, limit
        As for :func:`read_text`.
    schema : type
        A pydantic model, a dataclass, ``dict[str, float]`` ...
    nan : bool
        Whether to read NaN and Infinity too, which are not JSON, but which Python's own library writes.

    Raises
    ------
    InputError
        If :func:`read_text` or :func:`parse_json` refuses it.
    """
    text = read_text(path, what, limit)
    with checking(path, what):
        return parse_json(text, schema, nan=nan)


@contextmanager
def checking(path: str | Path, what: str) -> Iterator[None]:
    """Add to an InputError about the content of a file its path and what kind of file it should be."""
    try:
        yield
    except InputError as problem:
        raise InputError(f"{_name(path)} is not {what} ({problem}): give another file") from None


class Malformed(InputError):
    """What is wrong with a text, in a few words, to which the caller adds the text's source."""


def parse_json(text: str, schema: type[Schema], *, nan: bool = False) -> Schema:
    """Read a JSON text as a value of ``schema``, strictly: a number in quotes is not a number.

    With ``nan`` it may hold NaN and Infinity.

    Raises
    ------
    Malformed
        If it is not JSON (NaN and Infinity are not), repeats a key, has a number beyond 64 bits, half a surrogate pair or too
        many levels, or if it does not fit the schema.

    Examples
    --------
    >>> parse_json('{"a": 1}', dict[str, int])
    {'a': 1}
    >>> parse_json('{"a": "1"}', dict[str, int])
    Traceback (most recent call last):
    circuitsearch.files.Malformed: at 'a': Input should be a valid integer
    """
    from pydantic import ValidationError

    try:
        _check_json(text, nan)
        return _adapter(schema).validate_json(text, strict=True)
    except json.JSONDecodeError as error:
        raise Malformed(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise Malformed("its lists and objects are nested too deep") from None
    except ValidationError as error:
        raise Malformed(first_problem(error)) from None


def _check_json(text: str, nan: bool) -> None:
    """Raise Malformed for texts that ``json`` reads but that are not valid in our files."""
    content = json.loads(
        text,
        parse_constant=float if nan else _refuse_constant,
        parse_float=_finite,
        parse_int=_integer,
        object_pairs_hook=_without_repeats,
    )
    escaped = _SURROGATE.search(text) is not None
    if not _encodes(text) or (escaped and not _encodes(json.dumps(content, ensure_ascii=False))):
        raise Malformed("a text has half a surrogate pair, which is not a character")


def _refuse_constant(name: str) -> NoReturn:
    raise Malformed(f"not JSON: {name} is not a number in JSON, write null")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise Malformed(f"the number {shortened(digits, 30)} is too large")
    return value


def _integer(digits: str) -> int:
    if len(digits) > 20 or int(digits) not in _INTEGERS:
        raise Malformed(f"the number {shortened(digits, 30)} has more than 64 bits")
    return int(digits)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for index, key in enumerate(keys) if key in keys[:index])
        raise Malformed(f"the key {shortened(repr(repeated))} is given twice")
    return content


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@cache
def _adapter(schema: type[Schema]) -> TypeAdapter[Schema]:
    from pydantic import TypeAdapter

    return TypeAdapter(schema)


def first_problem(error: ValidationError) -> str:
    """The first thing that pydantic finds wrong, with its place."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = shortened(repr(".".join(map(str, first["loc"]))))
    if first["type"] == "missing":
        return f"the key {place} is missing"
    problem = first["msg"].removeprefix("Value error, ")
    return f"at {place}: {problem}" if first["loc"] else problem


def to_json(content: Any) -> str:
    """Write valid JSON on one line: numbers that are not finite as null, half a surrogate pair as its escape.

    Examples
    --------
    >>> to_json({"value": float("nan"), "name": "é"})
    '{"value": null, "name": "é"}'
    """
    return _encoded(content, json.JSONEncoder(ensure_ascii=False, allow_nan=False))


def write_json(path: str | Path, content: dict[str, Any]) -> None:
    """Write JSON as :func:`to_json` does, indented by one, with a final line break; long lists are written in pieces.

    Raises
    ------
    OSError
        If the file cannot be written.
    """

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(_pieces(content))

    write_whole(path, write)


def _pieces(content: dict[str, Any]) -> Iterator[str]:
    """The text of an object, in pieces.

    Lists of names or numbers are written in parts by the library's fast encoder, which does not indent.
    """
    listed = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",\n  ", ": "))
    nested = json.JSONEncoder(ensure_ascii=False, allow_nan=False, indent=1)
    before = "{\n"
    for key, value in content.items():
        yield f"{before} {_encoded(key, nested)}: "
        before = ",\n"
        if not _is_flat(value):
            yield _encoded(value, nested).replace("\n", "\n ")
            continue
        for first in range(0, len(value), _AT_ONCE):
            yield ("[" if first == 0 else ",") + "\n  " + _encoded(value[first : first + _AT_ONCE], listed)[1:-1]
        yield "\n ]"
    yield "\n}\n" if content else "{}\n"


def _is_flat(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and not isinstance(value[0], dict | list | tuple)


def _encoded(content: Any, encoder: json.JSONEncoder) -> str:
    try:
        text = encoder.encode(content)
        text.encode()
        return text
    except ValueError:  # a number that is not finite, or half a surrogate pair
        return encoder.encode(plain(content))


def plain(value: Any) -> Any:
    """A value in JSON types: tensors, arrays and tuples as lists, numbers that are not finite as None.

    Examples
    --------
    >>> plain({"values": (1.0, float("inf")), 3: "\\ud800"})
    {'values': [1.0, None], '3': '\\\\ud800'}
    """
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {plain(str(name)): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


# ---- safetensors


def read_safetensors(path: str | Path, what: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors of a safetensors file, and its metadata.

    The library maps tensors from the file, and rejects a header with more bytes than the file has, so that tensors are never
    larger than the file.

    Raises
    ------
    InputError
        If it is not such a file, is truncated, or has a header of more than 16 MiB.
    """
    from safetensors import safe_open

    _check_header(path, what)
    try:
        with safe_open(Path(path), "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except Exception as error:  # the library's exceptions differ by version, and include torch's
        raise InputError(f"{_name(path)} is not {what} ({shortened(error, 100)}): give another file") from None


def _check_header(path: str | Path, what: str) -> None:
    with _opened(path, what) as file:
        size = int.from_bytes(file.read(8), "little")
        if not 2 <= size <= min(_MOST_HEADER_BYTES, os.fstat(file.fileno()).st_size - 8):
            raise InputError(f"{_name(path)} is not {what} (not safetensors, or truncated): give another file")


# ---- any file


def write_whole(path: str | Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` write a temporary file beside ``path``, then rename it: the file is complete, or as it was before.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from safetensors import SafetensorError

    path = Path(path)
    _remove_parts_of(path)
    part = path.with_name(f"{PART}{os.getpid()}-{path.name}")  # the suffix is kept: it chooses a figure's format
    part.touch()
    mode = part.stat().st_mode  # as the umask sets it; safetensors lets only the owner read
    try:
        write(part)
        part.chmod(mode)
        part.replace(path)
    except SafetensorError as error:  # that library's form of an OSError
        code = re.search(r"os error (\d+)", str(error))
        raise OSError(int(code[1]) if code else errno.EIO, str(error), str(path)) from None
    finally:
        part.unlink(missing_ok=True)


def _remove_parts_of(path: Path) -> None:
    """Remove what processes that were killed while they wrote this file have left of it."""
    for part in path.parent.glob(f"{PART}*-{escape(path.name)}"):
        process = part.name.removeprefix(PART).partition("-")[0]
        if not (process.isdecimal() and _is_running(int(process))):
            part.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    if os.name == "nt":  # where asking would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def remove_parts(folder: Path) -> None:
    """Remove what killed processes left half written, in a folder in which no other process writes."""
    for part in folder.rglob(f"{PART}*"):
        if part.is_file():
            part.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file completely or not at all.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    write_whole(path, lambda part: part.write_bytes(content))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from running in a folder; on systems without such locks (Windows) nothing is checked.

    Raises
    ------
    InputError
        If another process is running in it.
    """
    if _locks() is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)


@contextmanager
def locked_file(file: BinaryIO, folder: Path) -> Iterator[None]:
    """Keep other processes from writing to an open file; raises as :func:`locked` does, which names the ``folder``."""
    _lock(file.fileno(), folder)
    yield  # closing the file unlocks it


def is_locked(path: Path) -> bool:
    """Whether a process has locked a file; False on systems without such locks."""
    locks = _locks()
    if locks is None:
        return False
    with path.open("rb") as file:
        try:
            locks.flock(file, locks.LOCK_SH | locks.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _locks() -> Any:
    """The module of the system's locks; None on systems without them (Windows)."""
    try:
        import fcntl
    except ImportError:
        return None
    return fcntl


def _lock(handle: int, folder: Path) -> None:
    locks = _locks()
    if locks is None:
        return
    try:
        locks.flock(handle, locks.LOCK_EX | locks.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"another process is running in {_name(folder)}: wait for it, or choose another folder with --out"
        ) from None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_bytes(path: str | Path, what: str, limit: int) -> bytes:
    """Read a file of at most ``limit`` bytes; raises as :func:`read_text` does."""
    with _of_size(path, what, limit) as file:
        return file.read(limit)


def check_size(path: str | Path, what: str, limit: int) -> None:
    """Raise an InputError if a path is no regular file, or one of more than ``limit`` bytes."""
    _of_size(path, what, limit).close()


def _of_size(path: str | Path, what: str, limit: int) -> BinaryIO:
    """Open a regular file of at most ``limit`` bytes."""
    file = _opened(path, what)
    size = os.fstat(file.fileno()).st_size
    if size > limit:
        file.close()
        raise InputError(f"{_name(path)} has {size >> 20} MiB, which is too large for {what}: give another file")
    return file


def _opened(path: str | Path, what: str) -> BinaryIO:
    """Open a regular file: reading a pipe or a device might never end."""
    try:
        if not S_ISREG(Path(path).stat().st_mode):
            raise InputError(f"{_name(path)} is not a file: give {what}")
        return Path(path).open("rb")
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        if isinstance(error, InputError):
            raise
        problem = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{_name(path)} cannot be read ({problem}): give {what}") from None


def _name(path: str | Path) -> str:
    return shortened(path, 100)

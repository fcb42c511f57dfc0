"""From a file's bytes to its text: gzip is unpacked within a bound, and an encoding that is not Unicode is named."""

from __future__ import annotations

import gzip
import io
import json
import zlib

from circuitsearch.errors import InputError, shortened

_GZIP = b"\x1f\x8b"
_ARCHIVES = {b"PK\x03\x04": "a spreadsheet or an archive (zip)", b"\xd0\xcf\x11\xe0": "an old spreadsheet (xls)"}
_WESTERN = 0.3  # share of bytes beyond ASCII up to which a text may be in a Western encoding


def unpacked(content: bytes, name: str, limit: int) -> bytes:
    """The content of a file, unpacked if it is gzipped.

    Raises
    ------
    InputError
        If it unpacks to more than ``limit`` bytes, or is broken.
    """
    if not content.startswith(_GZIP):
        return content
    try:
        plain = gzip.GzipFile(fileobj=io.BytesIO(content)).read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{name} is gzipped, and broken ({error}): give the whole file") from None
    if len(plain) > limit:
        raise InputError(f"{name} unpacks to more than {limit >> 20} MiB, which is too large: give a part of it")
    return plain


def decoded(content: bytes, name: str) -> str:
    """The text of a file in UTF-8, UTF-16 or UTF-32, with a byte order mark or without.

    Raises
    ------
    InputError
        If it is in another encoding, which the sentence names where it can be told, or is no text.
    """
    archive = next((what for magic, what in _ARCHIVES.items() if content.startswith(magic)), None)
    if archive is not None:
        raise InputError(f"{name} is {archive}, not text: save the sheet as CSV (UTF-8) and give that")
    try:
        return content.decode(json.detect_encoding(content))
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text ({_likely(content, error.start)}") from None


def _likely(content: bytes, at: int) -> str:
    """What the encoding probably is, by elimination, and how to convert it."""
    start, encoding = f"byte {at} is 0x{content[at]:02x})", _western(content)
    if encoding is None:
        return f"{start}: save it as UTF-8"
    seen = content[at : at + 1].decode(encoding)
    return (
        f"{start}, but probably {encoding.upper()}, in which that byte is {seen!r}: save it as UTF-8, or convert it with"
        f" 'iconv -f {encoding.upper()} -t UTF-8'"
    )


def _western(content: bytes) -> str | None:
    """The first Western encoding in which the text has letters and no control characters; None if it seems to be no such text."""
    beyond = sum(byte >= 0x80 for byte in content) / len(content)
    for encoding in ("windows-1252", "latin-1") if beyond < _WESTERN else ():
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if all(char.isprintable() or char.isspace() for char in text):
            return encoding
    return None


def named(path: object) -> str:
    """A path for a message."""
    return shortened(path, 100)

"""Ways to spoil a file: its bytes, or the values in it where it is JSON, JSON lines or safetensors."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import math
import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from random import Random
from typing import Any

import torch

NUMBERS = (
    "0", "-1", "1.5", "7", "4000", "1000000000000", "9223372036854775807", "9223372036854775808", "1" + "0" * 400,
    "1" + "0" * 5000, "1e308", "1e999", "-1e999", "1e-400", "-0.0", "NaN", "Infinity", "-Infinity", "01", "0x10",
)  # fmt: skip
OTHERS = (
    "null", "true", "[]", "{}", '""', '"x"', '"1"', '"NaN"', "[1, 2, 3]", '{"a": 1}', "[[]]", '["a", 1, null]',
    '"\\ud800"', '"\\ud83d\\ude00"', '"\\u0000\\u001b[2J"', '"\\u202e"', '"\u2028"', '"' + "x" * 100_000 + '"',
    '"a0.h0"', '"embed->logits"', '"->"', '"logits->embed"', '"../../x"', "[" * 400 + "]" * 400,
    "[" * 100_000 + "]" * 100_000, '{"a":' * 3000 + "1" + "}" * 3000, "",
)  # fmt: skip
CHUNKS = (
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\xe2\x80\xa8",
    b"\r\n",
    b"\n\n",
    b'"',
    b"{",
    b"]",
    b",",
)
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1")
_PLACE = "@@a place for raw text@@"


def spoiled(raw: bytes, form: str, random: Random) -> bytes:
    """The bytes of a file, changed at random: ``form`` says what values can be changed in it."""
    if form == "bytes" or random.random() < 0.35:
        return _spoiled_bytes(raw, random)
    return FORMS[form](raw, random)


# ---- bytes


def _spoiled_bytes(raw: bytes, random: Random) -> bytes:
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        raw = random.choice(_BYTES)(raw, random)
    return raw


def _flip(raw: bytes, random: Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(random.choice((1, 2, 8, 64))):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut(raw: bytes, random: Random) -> bytes:
    return raw[: random.randrange(len(raw) + 1)]


def _repeat(raw: bytes, random: Random) -> bytes:
    first, last = sorted(random.randrange(len(raw) + 1) for _ in range(2))
    return raw[:first] + raw[first:last] * random.choice((2, 3, 20)) + raw[last:]


def _remove(raw: bytes, random: Random) -> bytes:
    first, last = sorted(random.randrange(len(raw) + 1) for _ in range(2))
    return raw[:first] + raw[last:]


def _insert(raw: bytes, random: Random) -> bytes:
    at = random.choice((0, random.randrange(len(raw) + 1), len(raw)))
    return raw[:at] + random.choice((*CHUNKS, random.randbytes(16))) + raw[at:]


def _encode(raw: bytes, random: Random) -> bytes:
    return raw.decode("latin-1").encode(random.choice(ENCODINGS), errors="replace")


def _line_ends(raw: bytes, random: Random) -> bytes:
    return raw.replace(b"\n", random.choice((b"\r\n", b"\r", b"", b"\n\n")))


_BYTES: tuple[Callable[[bytes, Random], bytes], ...] = (
    _flip, _flip, _cut, _repeat, _remove, _insert, _insert, _encode, _line_ends,
)  # fmt: skip


# ---- values


def _json(raw: bytes, random: Random) -> bytes:
    content = json.loads(raw)
    raws = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        content, raw_text = _changed(content, random)
        raws += [] if raw_text is None else [raw_text]
    text = json.dumps(content, ensure_ascii=random.random() < 0.5, indent=random.choice((None, 1)))
    for each in raws:
        text = text.replace(json.dumps(_PLACE), each, 1)
    return text.encode(errors="surrogatepass")


def _changed(content: Any, random: Random) -> tuple[Any, str | None]:
    """The content with one value changed; and the raw text that is to stand in the marked place, if one is."""
    places = list(_places(content))
    owner, key = random.choice(places) if places else (None, None)
    if owner is None or random.random() < 0.02:
        return _PLACE, random.choice(OTHERS)
    action = random.choice(("number", "number", "other", "other", "remove", "rename", "add", "again", "many", "swap"))
    value = owner[key]
    if action == "number" or (action == "other" and random.random() < 0.3):
        owner[key] = _PLACE
        return content, random.choice(NUMBERS)
    if action == "other":
        owner[key] = _PLACE
        return content, random.choice(OTHERS)
    if action == "remove":
        del owner[key]
    elif action == "rename" and isinstance(owner, dict):
        owner[random.choice((str(key)[:-1], f"{key}s", str(key).upper(), ""))] = owner.pop(key)
    elif action == "add" and isinstance(owner, dict):
        owner[random.choice(("x", "n", "values", "__class__"))] = value
    elif action == "again" and isinstance(owner, dict):
        owner[key] = _PLACE
        return content, f"{json.dumps(value)}, {json.dumps(key)}: {random.choice(NUMBERS + OTHERS)}"
    elif action == "many":
        owner[key] = [value] * random.choice((0, 1, 2, 1000))
    else:
        other, at = random.choice(places)
        if _holds(other, at):
            owner[key], other[at] = deepcopy(other[at]), deepcopy(value)
    return content, None


def _holds(owner: Any, key: Any) -> bool:
    return key in owner if isinstance(owner, dict) else key < len(owner)


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in keys:
        yield content, key
        yield from _places(content[key])


def _lines(raw: bytes, random: Random) -> bytes:
    lines = raw.splitlines(keepends=True)
    at = random.randrange(len(lines))
    lines[at] = _json(lines[at], random).replace(b"\n", b" ") + b"\n"
    return b"".join(lines)


def _journal(raw: bytes, random: Random) -> bytes:
    """Lines with a checksum, which is made right again."""
    lines = raw.splitlines(keepends=True)
    at = random.randrange(len(lines))
    text = _json(lines[at].partition(b" ")[2], random).replace(b"\n", b" ")
    lines[at] = hashlib.sha256(text).hexdigest()[:16].encode() + b" " + text + b"\n"
    return b"".join(lines)


def _safetensors(raw: bytes, random: Random) -> bytes:
    """The header, or what JSON its metadata holds; the header's length is made right again."""
    size = int.from_bytes(raw[:8], "little")
    header, data = json.loads(raw[8 : 8 + size]), raw[8 + size :]
    metadata = header.get("__metadata__", {})
    if metadata and random.random() < 0.6:
        name = random.choice(list(metadata))
        metadata[name] = _json(metadata[name].encode(), random).decode(errors="replace")
        text = json.dumps(header).encode()
    else:
        text = _json(json.dumps(header).encode(), random)
    return len(text).to_bytes(8, "little") + text + data


def _torch(raw: bytes, random: Random) -> bytes:
    """The pickle in the archive of a .pt file, with checksums made right again; or the values in it, saved again."""
    if random.random() < 0.5:
        return _saved(_changed_tensors(torch.load(io.BytesIO(raw), weights_only=True), random))
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as archive, zipfile.ZipFile(out, "w") as changed:
        for entry in archive.infolist():
            content = archive.read(entry)
            pickled = entry.filename.endswith("data.pkl")
            changed.writestr(entry.filename, _spoiled_bytes(content, random) if pickled else content)
    return out.getvalue()


def _saved(content: Any) -> bytes:
    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


def _changed_tensors(content: dict[str, Any], random: Random) -> Any:
    name = random.choice(list(content))
    value = content[name]
    if isinstance(value, torch.Tensor):
        content[name] = random.choice(_TENSORS)(value)
    elif isinstance(value, dict):
        content[name] = value | {random.choice([*value, "x"]): random.choice(_VALUES)}
    elif isinstance(value, list):
        content[name] = random.choice((value[1:], value[::-1], [0, *value], value * 1000, ["->", *value[1:]], {}, ()))
    if random.random() < 0.2:
        del content[random.choice(list(content))]
    return random.choice((content, content, content, content, list(content), None, 1.5))


_VALUES = (0, -1, 1, 7, 1.5, 4000, 10**12, 2**70, True, None, "x", [1, 2], {}, math.nan, math.inf)
_TENSORS: tuple[Callable[[torch.Tensor], Any], ...] = (
    lambda value: value[1:],
    lambda value: value.flatten(),
    lambda value: value.double() * math.nan,
    lambda value: torch.full_like(value.double(), -math.inf),
    lambda value: value.half(),
    lambda value: value.long(),
    lambda value: value.T,
    lambda value: value[:0],
    lambda value: torch.zeros(1).expand(1 << 20, 1 << 20),
    lambda value: value.to_sparse(),
    lambda value: value.tolist(),
    lambda value: None,
    lambda value: torch.tensor(1.0),
    lambda value: torch.nn.Parameter(value.double()),
)

CELLS = (
    "", " ", "0", "-1", "7.0", "1e999", "9" * 30, "NaN", "[]", "[1, 2]", "[1 2]", "['a', 'b']", "[" * 300 + "]" * 300, "{'a': [1]}",
    "[" + "-" * 9000 + "1]", "__import__('os')", "\x00", "\x1b[2J", "\u202e", "a\nb", 'a"b', "x" * 100_000, " Mary", "label", "prompt",
)  # fmt: skip


def _table(raw: bytes, random: Random) -> bytes:
    """A table with a cell changed, moved, added or removed, in the header too; or with another delimiter."""
    rows = list(csv.reader(io.StringIO(raw.decode(), newline="")))
    for _ in range(random.choice((1, 1, 2, 4))):
        row = random.choice(rows[: 1 + random.randrange(len(rows))])
        at = random.randrange(len(row) + 1)
        action = random.choice(("change", "change", "add", "remove", "swap"))
        if action == "add" or at == len(row):
            row.insert(at, random.choice(CELLS))
        elif action == "change":
            row[at] = random.choice(CELLS)
        elif action == "remove" and len(row) > 1:
            del row[at]
        else:
            row[at], row[0] = row[0], row[at]
    text = io.StringIO()
    csv.writer(text, delimiter=random.choice(",,,;\t")).writerows(rows)
    return text.getvalue().encode(errors="replace")


def _gzipped(raw: bytes, random: Random) -> bytes:
    """What is packed in it, spoiled, and packed again."""
    return gzip.compress(spoiled(gzip.decompress(raw), "table", random), 1)


FORMS = {
    "torch": _torch,
    "table": _table,
    "gzip": _gzipped,
    "json": _json,
    "lines": _lines,
    "journal": _journal,
    "safetensors": _safetensors,
}

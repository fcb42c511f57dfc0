"""Models in GGUF files, which are dequantised once into a cache of safetensors, by transformers' own reader."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError

from circuitsearch.errors import InputError, ran_out_of_memory, shortened
from circuitsearch.files import read_json, sha256_of, write_json
from circuitsearch.memory import give_back
from circuitsearch.models.cache import cache_folder, made_whole
from circuitsearch.models.catalogue import CATALOGUE
from circuitsearch.models.families import family
from circuitsearch.models.gguf_header import Header, read_header
from circuitsearch.models.quiet import quiet

_PACKAGES = ("gguf", "accelerate")
_ORIGIN = "origin.json"
_TOKENIZER_BYTES = 1 << 26  # about the most that a tokenizer takes


class Origin(BaseModel):
    """Where a model comes from that was read from a GGUF file; manifests have it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(description="name of the GGUF file")
    sha256: str = Field(description="of the GGUF file")
    license: str | None = Field(description="of the catalogue, or as the file says")
    source: str | None = Field(description="for a model of the catalogue")


def origin_of(model: Any) -> Origin | None:
    """Where a loaded model comes from; None if it was not read from a GGUF file."""
    file = Path(str(getattr(model.config, "name_or_path", ""))) / _ORIGIN
    return read_json(file, "the origin of a model", Origin) if file.is_file() else None


def dequantised(file: Path) -> Path:
    """The folder in the cache that has a GGUF file's model in float32, and its tokenizer; it is made if it is not there.

    Parameters
    ----------
    file : path
        A GGUF file. The folder depends on its content, not on its name, and on the version of transformers, whose reader it is.

    Raises
    ------
    InputError
        If the file is damaged, cut off or joined wrongly, its architecture or quantisation cannot be read, a package is
        missing, or the cache cannot be written.
    """
    check_installed()
    header, sha256 = read_header(file), sha256_of(file)
    folder = _folder_for(sha256)
    if not folder.is_dir():
        size = 4 * sum(tensor.n_elements for tensor in header.tensors) + _TOKENIZER_BYTES
        with made_whole(folder, size) as part:
            _convert(file, header, part / file.stem)
            write_json(part / file.stem / _ORIGIN, _origin(file, sha256, header).model_dump())
        give_back()
    return _only_folder(folder)


def cached(file: Path) -> Path | None:
    """The folder that :func:`dequantised` gives, or None if it is not there yet; raises the same errors about the file."""
    check_installed()
    read_header(file)
    folder = _folder_for(sha256_of(file))
    return _only_folder(folder) if folder.is_dir() else None


def check_installed() -> None:
    """Raise an InputError unless the packages of the extra ``gguf`` are installed."""
    import transformers

    if any(find_spec(package) is None for package in _PACKAGES) or not hasattr(transformers, "GgufConfig"):
        raise InputError(
            f"reading GGUF files needs the packages {' and '.join(_PACKAGES)}, and transformers 5.23 or newer:"
            " pip install 'circuitsearch[gguf]'"
        )


def _folder_for(sha256: str) -> Path:
    from transformers import __version__

    return cache_folder() / "gguf" / f"{sha256}-transformers-{__version__}"


def _only_folder(folder: Path) -> Path:
    """The model's folder, which has the name of the file, as figures show it."""
    return next(each for each in folder.iterdir() if each.is_dir())


def _origin(file: Path, sha256: str, header: Header) -> Origin:
    known = next((model for model in CATALOGUE.values() if model.sha256 == sha256), None)
    if known is not None:
        return Origin(file=file.name, sha256=sha256, license=known.license, source=known.source)
    said = header.metadata.get("general.license")
    return Origin(file=file.name, sha256=sha256, license=said if isinstance(said, str) else None, source=None)


def _convert(file: Path, header: Header, folder: Path) -> None:
    """Write the model and the tokenizer of a GGUF file as ``save_pretrained`` does."""
    model, tokenizer = _read(file, has_tokenizer="tokenizer.ggml.model" in header.metadata)
    try:
        with quiet():
            model.save_pretrained(folder)
    except SafetensorError as error:  # that library's form of an OSError
        raise OSError(str(error)) from None
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)


def _read(file: Path, has_tokenizer: bool) -> tuple[Any, Any]:
    """Read the model and, if it has one, the tokenizer of a GGUF file."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig

    where: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of arrays that are mapped from a file and cannot be written to
            config = AutoConfig.from_pretrained(file.parent, **where)
            family(config.model_type)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                file.parent,
                config=config,
                dtype=torch.float32,
                quantization_config=GgufConfig(dequantize=True),
                output_loading_info=True,
                **where,
            )
            tokenizer = AutoTokenizer.from_pretrained(file.parent, **where) if has_tokenizer else None
    except InputError:
        raise
    except Exception as error:  # transformers raises many kinds, on any metadata
        raise _unreadable(file, error) from error
    model, info = loaded
    _check_loaded(file, info)
    return model, tokenizer


def _unreadable(file: Path, error: Exception) -> InputError:
    if ran_out_of_memory(error):
        return InputError(
            f"memory ran out while {shortened(file, 100)} was dequantised: it needs twice its float32 weights"
        )
    words = shortened(str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__, 120)
    return InputError(
        f"{shortened(file, 80)} cannot be read ({words}): take another quantisation, or the model as safetensors"
    )


def _check_loaded(file: Path, info: dict[str, Any]) -> None:
    """Refuse missing weights, which would be random."""
    missing = sorted(info["missing_keys"]) + sorted(str(each[0]) for each in info["mismatched_keys"])
    if missing:
        raise InputError(
            f"{shortened(file, 100)} lacks weights, or has them in other shapes than its metadata say: {', '.join(missing[:3])};"
            " take another file of the model"
        )

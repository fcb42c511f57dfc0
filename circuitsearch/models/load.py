"""Loading a Hugging Face causal language model: bundled, of the catalogue, in a folder, a GGUF file or on the hub."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from circuitsearch.devices import SPREAD
from circuitsearch.distributed import on_this_machine
from circuitsearch.errors import InputError, ran_out_of_memory, unknown
from circuitsearch.models import gguf
from circuitsearch.models.catalogue import CATALOGUE
from circuitsearch.models.families import FAMILIES, family
from circuitsearch.models.gguf_header import is_gguf
from circuitsearch.models.hub_code import check_no_hub_code, without_kernels
from circuitsearch.models.offload import run_on_first
from circuitsearch.models.quiet import quiet
from circuitsearch.models.weight_files import Stored, read_in, stored_numbers
from circuitsearch.models.weights import all_weights, is_finite

BUNDLED: dict[str, Path] = {"pico": Path(__file__).parent / "pico"}
DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

DeviceMap = str | dict[str, Any]

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "spiece.model")
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True)
class Source:
    """Where a model is read from: its name as given, its folder, or None for the hub, and its GGUF file in that folder."""

    name: str
    folder: Path | None
    gguf: str | None = None

    @property
    def place(self) -> str:
        """The name or path for transformers."""
        return self.name if self.folder is None else str(self.folder)

    @property
    def label(self) -> str:
        """The model's name without its folder."""
        if self.name in (*BUNDLED, *CATALOGUE):
            return self.name
        return Path(self.place).name if self.gguf is None else Path(self.gguf).stem

    @property
    def files(self) -> dict[str, Any]:
        """Options for transformers: a model in a folder is read without access to the hub."""
        file = {} if self.gguf is None else {"gguf_file": self.gguf}
        return {"local_files_only": self.folder is not None, "trust_remote_code": False, **file}

    @property
    def config(self) -> str:
        """Where its configuration is, in messages."""
        return "config.json" if self.gguf is None else "metadata"

    def as_safetensors(self) -> Source:
        """Itself, or for a GGUF file the folder of the model that is dequantised from it."""
        if self.folder is None or self.gguf is None:
            return self
        return Source(self.name, gguf.dequantised(self.folder / self.gguf))

    def as_outline(self) -> Source:
        """Where the configuration is read: for a GGUF file its model's folder if there is one; nothing is dequantised."""
        if self.folder is None or self.gguf is None:
            return self
        folder = gguf.cached(self.folder / self.gguf)
        return self if folder is None else Source(self.name, folder)


def read(
    name: str | Path,
    dtype: str | torch.dtype | None,
    device: str | torch.device | None,
    device_map: DeviceMap | None = None,
) -> tuple[Any, Any]:
    """Read a model and its tokenizer; see :func:`circuitsearch.load`, which also verifies the model."""
    source = locate(name)
    if device == SPREAD:
        if on_this_machine() > 1:
            raise InputError(
                "several processes on one machine cannot each spread the model over its GPUs: start one a machine, with"
                " --nproc-per-node 1"
            )
        device, device_map = None, "balanced_low_0"
    _check_device_map(device, device_map)
    source = source.as_safetensors()
    with quiet():
        model = _read_model(source, dtype_named(dtype), device_map)
        tokenizer = _read_tokenizer(source)
    _check_finite(source, model)
    if device_map is None:
        model.to(device or "cpu")
    else:
        run_on_first(model)
    return model.eval().requires_grad_(False), tokenizer


def _check_device_map(device: Any, device_map: DeviceMap | None) -> None:
    if device_map is None:
        return
    if device is not None:
        raise InputError("a device and a device map cannot both be given: give one of them")
    if find_spec("accelerate") is None:
        raise InputError("a device map needs the package accelerate: pip install 'circuitsearch[device-map]'")


def locate(name: str | Path) -> Source:
    """Find the source of the model with this name: one of this package, else a file or folder, else on the hub.

    Raises
    ------
    InputError
        If it looks like a path and there is no such file or folder, or a model of the catalogue has not been fetched.
    """
    text = str(name)
    if text in BUNDLED:
        return Source(text, BUNDLED[text])
    if text in CATALOGUE:
        return _of_catalogue(text)
    path = Path(text).expanduser()
    if path.is_dir():
        return Source(text, path.resolve(), _gguf_in(path))
    if path.is_file() and is_gguf(path):
        return Source(text, path.resolve().parent, path.name)
    if path.exists():
        raise InputError(
            f"the model {text} is a file, and not in GGUF: give the folder that holds its config.json and model.safetensors"
        )
    if not _HUB_NAME.fullmatch(text) or text.startswith("."):
        raise InputError(f"there is no model folder {text}: {_CHOICES}")
    return Source(text, None)


def dequantises(name: str | Path) -> bool:
    """Whether loading a model dequantises its GGUF file first, since the cache does not have it yet."""
    source = locate(name)
    return source.folder is not None and source.gguf is not None and gguf.cached(source.folder / source.gguf) is None


def label_of(name: str | Path) -> str:
    """The name without its folder of a model that need not be here.

    Examples
    --------
    >>> label_of("pico"), label_of("HuggingFaceTB/SmolLM2-135M"), label_of("/gone/tiny"), label_of("gone/small.gguf")
    ('pico', 'SmolLM2-135M', 'tiny', 'small')
    """
    path = Path(name).expanduser()
    return locate(name).label if path.exists() else path.name.removesuffix(".gguf")


_CHOICES = "give a folder or GGUF file that exists, a name on the Hugging Face hub, or one of " + ", ".join(
    (*BUNDLED, *CATALOGUE)
)


def _of_catalogue(name: str) -> Source:
    file = CATALOGUE[name].file
    if not file.is_file():
        raise InputError(
            f"the model {name} of the catalogue is not here yet: circuitsearch models get {name} (a folder of this name is"
            f" meant by ./{name})"
        )
    return Source(name, file.parent, file.name)


def _gguf_in(folder: Path) -> str | None:
    """The GGUF file of a folder without safetensors."""
    files = sorted(folder.glob("*.gguf"))
    if not files or any(folder.glob("*.safetensors")):
        return None
    if len(files) > 1:
        raise InputError(f"the folder {folder} has {len(files)} GGUF files: give one of them, as in {files[0]}")
    return files[0].name


def dtype_named(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """Look up a dtype by its name; None means the dtype in which the weights are stored."""
    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    return DTYPES[dtype]


def _read_model(source: Source, dtype: torch.dtype | None, device_map: DeviceMap | None) -> Any:
    model_type, text = _model_type(source)
    row = family(model_type)
    stored = None if source.folder is None else stored_numbers(source.folder)
    try:
        config = _configuration(source, text)
        if stored is not None:
            _check_promised(source, config, stored)
        options = {"output_loading_info": True, "ignore_mismatched_sizes": True, **row.options}
        options |= without_kernels(config.to_dict())
        options |= {} if text is None else {"config": text, "key_mapping": _TEXT_PART}
        kind = None if stored is None or device_map is not None else _kind_to_convert(config, dtype, stored)
        if kind is None:
            model, info = _as_stored(source, dtype, device_map, options)
        else:
            model, info = _converted(source, config, kind, dtype, options)
    except InputError:
        raise
    except Exception as error:  # transformers raises many kinds, on any content of config.json
        if ran_out_of_memory(error):
            raise InputError(
                f"memory ran out while {source.name} was loaded: give dtype='bfloat16', or a device_map that keeps blocks on disk"
            ) from error
        raise InputError(f"the model {source.name} cannot be loaded: {_first_line(error)}") from error
    _check_complete(source, info)
    return model


def _as_stored(source: Source, dtype: torch.dtype | None, device_map: DeviceMap | None, options: dict[str, Any]) -> Any:
    """The model, and what transformers says of its loading."""
    from transformers import AutoModelForCausalLM

    where = {} if device_map is None else {"device_map": device_map}
    return AutoModelForCausalLM.from_pretrained(
        source.place, dtype=dtype or "auto", use_safetensors=True, **options, **where, **source.files
    )


def _kind_to_convert(config: Any, dtype: torch.dtype | None, stored: Stored) -> Any:
    """The class of a model all of whose weights are to be converted to another dtype than they are stored in, or None.

    Transformers keeps the weights of some models in float32, and those that are quantised as they are.
    """
    if dtype is None or stored.dtypes <= {_STORED_AS.get(dtype)}:
        return None
    if getattr(config, "quantization_config", None) is not None:
        return None
    kind = type(_on_meta(config, None))
    kept = any(getattr(kind, names, None) for names in ("_keep_in_fp32_modules", "_keep_in_fp32_modules_strict"))
    return None if kept else kind


_STORED_AS = {torch.float32: "F32", torch.float64: "F64", torch.bfloat16: "BF16", torch.float16: "F16"}


def _converted(source: Source, config: Any, kind: Any, dtype: torch.dtype | None, options: dict[str, Any]) -> Any:
    """The same, of weights that are converted one by one: ``from_pretrained`` by itself keeps the stored ones beside them."""
    assert source.folder is not None and dtype is not None
    weights = read_in(source.folder, dtype)
    model, info = kind.from_pretrained(None, state_dict=weights, dtype=dtype, **{**options, "config": config})
    model.config._name_or_path = source.place
    return model, info


def outline(name: str | Path, dtype: str | torch.dtype | None = None) -> Any:
    """The model of a name's configuration on the meta device, with shapes but no weights. Nothing large is read."""
    source = locate(name).as_outline()
    model_type, text = _model_type(source)
    family(model_type)
    return _on_meta(_configuration(source, text), dtype_named(dtype))


def _configuration(source: Source, text: Any) -> Any:
    from transformers import AutoConfig

    with quiet():
        return text or AutoConfig.from_pretrained(source.place, **source.files)


def _on_meta(config: Any, dtype: torch.dtype | None) -> Any:
    from transformers import AutoModelForCausalLM

    with quiet(), torch.device("meta"):
        chosen = dtype or getattr(config, "dtype", None) or torch.float32
        model = AutoModelForCausalLM.from_config(config, dtype=chosen)
    model.tie_weights()
    return model


def _check_promised(source: Source, config: Any, stored: Stored) -> None:
    """Refuse a configuration of a far larger model than the weights are, before transformers allocates it.

    Fewer numbers that are missing, or of other shapes, are named once the model is loaded. Quantised weights are packed, so
    that they cannot be counted.
    """
    if getattr(config, "quantization_config", None) is not None:
        return
    few = config.num_hidden_layers > stored.tensors
    if few or 2 * stored.numbers < sum(each.numel() for each in set(_on_meta(config, None).parameters())):
        raise InputError(
            f"the config.json of {source.name} is of a far larger model than its weights, {stored.numbers:,} numbers in"
            f" {stored.tensors:,} tensors: they are incomplete or of another model"
        )


# Prefixes of weights of the text part in a model that reads more than text, and in the text part by itself.
_TEXT_PART = {r"^(model\.)?language_model\.lm_head\.": "lm_head.", r"^(model\.)?language_model\.(model\.)?": "model."}


def _model_type(source: Source) -> tuple[str, Any]:
    """The family that config.json names, read before anything large.

    For a model that reads more than text, the family of its text part if that can be read, and that part's configuration.
    """
    from transformers import AutoConfig, PreTrainedConfig

    if source.folder is None:
        _check_hub(source.name)
    elif source.gguf is None and not (source.folder / "config.json").is_file():
        if (source.folder / "adapter_config.json").is_file():
            raise InputError(
                f"the folder {source.name} holds a PEFT adapter without its model: load the base model, then peft's"
                " PeftModel.from_pretrained(base, folder), and give that, or save merge_and_unload() of it"
            )
        raise InputError(f"the model folder {source.name} has no config.json: give a folder that save_pretrained wrote")
    try:
        config, _ = PreTrainedConfig.get_config_dict(source.place, **source.files)
    except (
        Exception
    ) as error:  # transformers raises many kinds, as on a config.json that is not an object, or nested too deeply
        raise InputError(f"the {source.config} of {source.name} cannot be read: {_first_line(error)}") from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise InputError(
            f"the config.json of {source.name} names no model_type: give a folder that save_pretrained wrote"
        )
    check_no_hub_code(config, f"the {source.config} of {source.name}")
    if config["model_type"] in FAMILIES or "text_config" not in config:
        return str(config["model_type"]), None
    try:
        text = AutoConfig.from_pretrained(source.place, **source.files).get_text_config()
    except Exception as error:  # transformers raises many kinds, on any content of config.json
        raise InputError(f"the config.json of {source.name} cannot be read: {_first_line(error)}") from None
    return (text.model_type, text) if text.model_type in FAMILIES else (config["model_type"], None)


def _check_hub(name: str) -> None:
    """Check first that the hub has the name: the download itself would retry for half a minute."""
    from huggingface_hub import HfApi, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(name, "config.json"), str):
        return
    try:
        HfApi().model_info(name, timeout=20)
    except Exception as error:  # the hub's own kinds, its HTTP library's, and ValueError for a malformed name
        near = difflib.get_close_matches(name, (*BUNDLED, *CATALOGUE), n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InputError(
            f"unknown model {name!r}: it is neither known ({', '.join((*BUNDLED, *CATALOGUE))}) nor a folder or file, and the hub does not"
            f" provide it ({_first_line(error)}).{hint}"
        ) from None


def _check_complete(source: Source, info: dict[str, Any]) -> None:
    """Refuse missing weights, with which a part of the model would be random; transformers only warns of them."""
    missing = sorted(info["missing_keys"])
    if missing:
        raise InputError(f"the weights of {source.name} lack {_some(missing)}: they are incomplete or of another model")
    wrong = sorted(str(entry[0]) for entry in info["mismatched_keys"])
    if wrong:
        raise InputError(f"the weights of {source.name} do not have the shapes of its config.json: {_some(wrong)}")


def _check_finite(source: Source, model: Any) -> None:
    for name, weight in all_weights(model):
        if not is_finite(weight):
            raise InputError(
                f"the weights of {source.name} have NaN or infinite values, in {name}: download or train it again"
            )


def _read_tokenizer(source: Source) -> Any:
    """Read the tokenizer; None if a folder has none, since tasks of token ids do not need one."""
    from transformers import AutoTokenizer

    if source.folder is not None and not any((source.folder / file).is_file() for file in _TOKENIZER_FILES):
        return None
    try:
        return AutoTokenizer.from_pretrained(source.place, **source.files)
    except Exception as error:  # the tokenizers library raises a bare Exception
        raise InputError(f"the tokenizer of {source.name} cannot be read: {_first_line(error)}") from None


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__

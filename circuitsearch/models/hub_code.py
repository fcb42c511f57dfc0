"""What a model's configuration must not ask for: compiled code that transformers would fetch from a hub.

transformers reads the name of an attention kernel out of ``config.json``, and where the package ``kernels`` is installed it
downloads and runs the kernel of that name, without ``trust_remote_code``. A folder of weights should not decide what code runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from circuitsearch.errors import InputError, shortened

OWN = ("eager", "sdpa", "flex_attention")  # attention in the code of transformers and torch
# Attention from packages of their own. Where they cannot be used, transformers takes a kernel from the hub in their place.
FLASH = re.compile(r"flash_attention_(\d)")
# Quantised weights for which transformers fetches kernels. The first two kinds are read as ordinary numbers instead.
DEQUANTISED = {"mxfp4": "Mxfp4Config", "fp8": "FineGrainedFP8Config"}
REFUSED = ("eetq", "fbgemm_fp8", "metal")


def check_no_hub_code(config: Mapping[str, Any], where: str) -> None:
    """Refuse the content of a ``config.json``, named in messages as ``where``, that names code on a hub.

    Raises
    ------
    InputError
        If its attention is neither transformers' own nor of a package that can be used here, or its weights need a kernel.

    Examples
    --------
    >>> check_no_hub_code({"attn_implementation": "sdpa"}, "config.json")
    >>> check_no_hub_code({"attn_implementation": "someone/attention"}, "config.json")
    Traceback (most recent call last):
    ...
    circuitsearch.errors.InputError: config.json asks for the attention 'someone/attention', which transformers would fetch as code ...
    """
    for name in _attention_names(config):
        if name not in OWN and not _is_usable(name):
            raise InputError(
                f"{where} asks for the attention {shortened(repr(name))}, which transformers would fetch as code from a hub: write"
                " 'eager' or 'sdpa' there, or remove its attn_implementation"
            )
    method = _quantisation(config)
    if method in REFUSED:
        raise InputError(
            f"{where} says that the weights are quantised by {method}, whose code transformers would fetch from a hub: save the"
            " model without quantisation, or by bitsandbytes or torchao"
        )


def without_kernels(config: Mapping[str, Any]) -> dict[str, Any]:
    """Options with which transformers reads quantised weights without kernels from a hub."""
    import transformers

    name = DEQUANTISED.get(_quantisation(config) or "")
    return {} if name is None else {"quantization_config": getattr(transformers, name)(dequantize=True)}


def _quantisation(config: Mapping[str, Any]) -> str | None:
    found = config.get("quantization_config")
    return str(found.get("quant_method")) if isinstance(found, Mapping) else None


def _attention_names(config: Any) -> Iterator[str]:
    """Every name of an attention implementation in a configuration and its parts."""
    if not isinstance(config, Mapping):
        return
    for key, value in config.items():
        if key.endswith(("attn_implementation", "attn_implementation_internal")):
            yield from (
                str(one) for one in (value.values() if isinstance(value, Mapping) else [value]) if one is not None
            )
        else:
            yield from _attention_names(value)


def _is_usable(name: str) -> bool:
    """Whether a flash attention is installed and runs here, as transformers finds before it would fetch a kernel."""
    import transformers.utils

    found = FLASH.fullmatch(name)
    available = None if found is None else getattr(transformers.utils, f"is_flash_attn_{found[1]}_available", None)
    return available is not None and available()

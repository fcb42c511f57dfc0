"""The model as the user gives it: wrappers are removed, and models in a state that cannot be used are refused."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from circuitsearch.errors import InputError
from circuitsearch.models.families import FAMILIES


def usable(model: Any) -> Any:
    """The Hugging Face model inside what was given, in a state in which it can be run and differentiated.

    The wrappers of ``torch.compile`` and PEFT are removed; adapters still apply, since they are inside the modules.

    Raises
    ------
    InputError
        If it is not a Hugging Face model, has no weights, has weights that are split over processes, has a compiled part, or
        one of torch's global modes is on that the engine does not support.
    """
    _check_modes()
    model = unwrapped(model)
    if getattr(model, "config", None) is None:
        raise InputError(f"a {type(model).__name__} is not a Hugging Face causal language model: it has no config")
    _check_text_only(model.config)
    _check_weights(model)
    if any(_compiled(module) for module in model.modules()):
        raise InputError(
            "a part of the model is compiled, so hooks do not see its activations: give it without torch.compile"
        )
    if getattr(model.config, "return_dict", True) is False:
        raise InputError("the model's config has return_dict=False, so the model returns tuples: set it to True")
    return model


def unwrapped(model: Any) -> Any:
    """The model without the wrappers of ``torch.compile`` and PEFT."""
    model = getattr(model, "_orig_mod", model)
    if not hasattr(model, "peft_config") or not hasattr(model, "get_base_model"):
        return model
    if model.active_peft_config.is_prompt_learning:
        raise InputError(
            f"the {model.active_peft_config.peft_type.value} adapter puts learned vectors before the prompt, which are not"
            " tokens: such a model cannot be read; use LoRA, or the base model"
        )
    return unwrapped(model.get_base_model())


def _check_modes() -> None:
    """Refuse torch's global modes that change the results of the engine's own operations."""
    if torch.is_inference_mode_enabled():
        raise InputError(
            "torch.inference_mode() is on, in which there are no gradients: leave it (gradients are off if none are needed)"
        )
    if torch.get_default_device().type != "cpu":
        raise InputError(
            f"torch's default device is {torch.get_default_device()}: set it back with torch.set_default_device('cpu') and"
            " move the model alone, with model.to(...)"
        )
    if any(torch.is_autocast_enabled(device) for device in ("cpu", "cuda")):
        raise InputError(
            "torch.autocast is on, which rounds some operations: turn it off and load the model in that dtype"
        )


def _check_text_only(config: Any) -> None:
    text = config.get_text_config().model_type if hasattr(config, "get_text_config") else config.model_type
    if config.model_type not in FAMILIES and text != config.model_type and text in FAMILIES:
        raise InputError(
            f"a {config.model_type!r} model reads more than text; its text part is a {text!r} model, which can be read: save"
            " the model with save_pretrained, and circuitsearch.load(folder) loads the text part alone"
        )


def _check_weights(model: nn.Module) -> None:
    weights, offloaded = list(model.parameters()), any(hasattr(module, "_hf_hook") for module in model.modules())
    if not offloaded and any(weight.is_meta for weight in weights):
        raise InputError(
            "the model is on the meta device, where it has shapes but no weights: load it on a real device"
        )
    split = next((name for name, weight in model.named_parameters() if hasattr(weight, "device_mesh")), None)
    if split is not None:
        raise InputError(
            f"the model is split over processes, {split} and other weights, as by a tensor-parallel plan: load it with"
            " circuitsearch.load(...), with device='spread' if it is larger than one device"
        )
    devices = sorted({str(weight.device) for weight in weights if not weight.is_meta})
    if len(devices) > 1:
        raise InputError(
            f"the model's weights are on several devices, {', '.join(devices)}: load it with circuitsearch.load(...,"
            " device_map=...), which lets all of it run on one and keeps weights on the others"
        )
    if any(weight.is_inference() for weight in weights):
        raise InputError(
            "the model was made under torch.inference_mode(), so it has no gradients: load it outside of that mode"
        )


def _compiled(module: nn.Module) -> bool:
    return hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None

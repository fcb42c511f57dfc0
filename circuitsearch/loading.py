"""The verb load(): read a model, then verify that it is read correctly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitsearch.engine.verify import verified
from circuitsearch.granularity import Granularity
from circuitsearch.models.load import read

if TYPE_CHECKING:
    import torch


def load(
    name: str | Path,
    *,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    device_map: str | dict[str, Any] | None = None,
) -> tuple[Any, Any]:
    """Load a causal language model and its tokenizer, ready to be explained.

    Parameters
    ----------
    name
        ``"pico"``, the bundled model; a folder that ``save_pretrained`` wrote; or a name on the Hugging Face hub.
        Only safetensors are read, and no code of the model's own is run.
    dtype
        Of the weights: ``"float32"``, ``"float64"``, ``"bfloat16"``, ``"float16"`` or a ``torch.dtype``; by default
        the one they are stored in.
    device
        Where to put the model; by default the CPU.
    device_map
        Where to put its parts, in place of ``device``, as ``from_pretrained`` takes it: ``"auto"``, or a dictionary. What
        does not fit the accelerator stays on the CPU or on disk and is brought when it runs. Needs the package
        accelerate (``pip install 'circuitsearch[device-map]'``).

    Returns
    -------
    model
        A Hugging Face model in evaluation mode, its parameters without gradients.
    tokenizer
        Its tokenizer, or None if the folder has none.

    Raises
    ------
    InputError
        If there is no such model, its family is not known, its weights are missing, broken, incomplete or not
        finite, or it fails verification (the writers' sum is not the stream, the hooked run not the model's own).

    Examples
    --------
    >>> model, tokenizer = load("pico")
    >>> model.config.model_type, model.training
    ('gpt2', False)
    """
    model, tokenizer = read(name, dtype, device, device_map)
    verified(model, granularity=Granularity(merged_heads=True))  # whether or not its heads can be told apart
    return model, tokenizer

"""``load``: read a model, then verify that it is read correctly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitsearch.engine.verify import verified
from circuitsearch.granularity import MERGED
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
    """Load a causal language model and its tokenizer, and verify that the model is described correctly.

    Parameters
    ----------
    name
        ``"pico"``, the bundled model; a folder that ``save_pretrained`` wrote; or a name on the Hugging Face hub.
        Only safetensors are read, and no code from the model's folder is run.
    dtype
        Dtype of the weights: ``"float32"``, ``"float64"``, ``"bfloat16"``, ``"float16"`` or a ``torch.dtype``; by default
        the one in which they are stored.
    device
        Where to put the model; by default the CPU. ``"spread"`` is the device map ``"balanced_low_0"``.
    device_map
        Where to put its parts, instead of ``device``, as for ``from_pretrained``: ``"auto"``, or a dictionary. All of it runs on
        the first accelerator; weights on other ones, on the CPU or on disk are moved there when they run. Needs the package accelerate
        (``pip install 'circuitsearch[device-map]'``).

    Returns
    -------
    model
        A Hugging Face model in evaluation mode, its parameters without gradients.
    tokenizer
        Its tokenizer, or None if the folder has none.

    Raises
    ------
    InputError
        If the model does not exist, its family is not supported, its weights are missing, damaged, incomplete or not
        finite, or verification fails (the writers do not sum to the stream, or the hooked run differs from the model's own).

    Examples
    --------
    >>> model, tokenizer = load("pico")
    >>> model.config.model_type, model.training
    ('gpt2', False)
    """
    model, tokenizer = read(name, dtype, device, device_map)
    verified(model, granularity=MERGED)  # whether or not its heads can be separated
    return model, tokenizer

"""pico before training: a small GPT-2."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel


def new_model(vocabulary: int, positions: int, width: int, layers: int, heads: int) -> GPT2LMHeadModel:
    """A GPT-2 with random weights and positions as small sinusoids."""
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=positions,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        activation_function="gelu_pytorch_tanh",
    )
    model = GPT2LMHeadModel(config)
    model.transformer.wte.weight.data.normal_(0, 0.05)
    model.transformer.wpe.weight.data.copy_(0.2 * sinusoids(positions, width))
    return model


def sinusoids(positions: int, width: int) -> Tensor:
    """Sines and cosines of slower and slower waves, (positions, width)."""
    place = torch.arange(positions)[:, None]
    wave = torch.exp(-torch.arange(0, width, 2) / width * torch.log(torch.tensor(10.0 * positions)))
    return torch.cat([(place * wave).sin(), (place * wave).cos()], dim=1)

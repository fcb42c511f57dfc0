"""The published configurations of well-known checkpoints, scaled down, are read, or refused by name."""

from __future__ import annotations

import pytest
import torch
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from benchmarks.published_configs import CHECKPOINTS, configuration
from circuitsearch.engine.verify import verified
from circuitsearch.errors import InputError
from circuitsearch.models.families import FAMILIES
from tests.exact import exact_throughout

REFUSED = {  # a word of the reason
    "openai-gpt": "norms the stream",
    "opt-350m": "norms the stream",
    "deepseek-v2-lite": "cannot be separated",
    "deepseek-v3": "cannot be separated",
    "xglm": "unknown model family",
    "bitnet": "unknown model family",
}


@pytest.mark.parametrize("name", [name for name in CHECKPOINTS if name not in REFUSED])
def test_a_published_configuration_is_read(name):
    """In float64 verification is strict: writers add up to the stream, norms are as described, the hooked run is the model's own."""
    config = configuration(name)
    config._experts_implementation = "eager"  # the default one knows no float64
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval().to(torch.float64)
    with exact_throughout():
        described = verified(model)
    assert config.model_type in FAMILIES and described.graph.n_edges > 0


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_with_the_reason(name):
    """One sentence says why."""
    model = AutoModelForCausalLM.from_config(configuration(name)).eval()
    with pytest.raises(InputError, match=REFUSED[name]):
        verified(model)

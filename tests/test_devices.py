"""Devices by name."""

from __future__ import annotations

import pytest
import torch

import circuitsearch as cs
from circuitsearch.devices import device_named, runs_on


def test_a_model_can_be_spread_where_there_are_gpus(monkeypatch):
    """Without one it is refused; with one the model runs on the first."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(cs.InputError, match="there is no GPU to spread a model over: use --device cpu"):
        device_named("spread")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (device_named("spread"), runs_on("spread"), runs_on("auto")) == ("spread", "cuda", "cuda")


def test_a_spread_model_is_one_of_a_device_map(monkeypatch):
    """It needs what a device map needs, and is loaded by one."""
    pytest.importorskip("accelerate", reason="device maps need accelerate, which is not installed")
    model, tokenizer = cs.load("pico", device="spread")
    assert cs.score(model, cs.tasks.induction(tokenizer, n=2), cs.EAP()).values.nansum() != 0
    monkeypatch.setattr("circuitsearch.models.load.find_spec", lambda name: None)
    with pytest.raises(cs.InputError, match="a device map needs the package accelerate"):
        cs.load("pico", device="spread")

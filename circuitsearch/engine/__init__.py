"""Passes through the model: record, gradients, replay, path patching. They leave the model unchanged."""

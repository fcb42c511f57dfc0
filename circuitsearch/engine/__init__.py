"""Passes through the model: record, gradients, circuits. Nothing here changes the model."""

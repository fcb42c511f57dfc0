"""Costs of running one prompt, in plain Hugging Face forwards of it, as measured: docs/benchmarks.md."""

RECORD = 2.0  # the clean and the corrupt prompt
VALUE = 1.0  # a circuit
GRADIENT = 2.6  # a circuit, and the gradient at it

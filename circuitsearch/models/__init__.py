"""Hugging Face models: described by a row a family, read from disk or hub, and planted ones with known circuits."""

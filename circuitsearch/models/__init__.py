"""Hugging Face models: rows that describe families, loading from disk or hub, and hand-built models with known circuits."""

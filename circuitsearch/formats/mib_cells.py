"""The cells of MIB's circuit track (2504.13151): which tasks go with which models, and the models' shapes."""

from __future__ import annotations

from collections.abc import Iterable

from circuitsearch.formats.eap_graph import Config

MODELS = {
    "gpt2": Config(n_layers=12, n_heads=12, d_model=768),
    "qwen2.5": Config(n_layers=24, n_heads=14, d_model=896),
    "gemma2": Config(n_layers=26, n_heads=8, d_model=2304),
    "llama3": Config(n_layers=32, n_heads=32, d_model=4096),
    "interpbench": Config(n_layers=6, n_heads=4, d_model=64),
}
TASKS = {
    "ioi": ("gpt2", "qwen2.5", "gemma2", "llama3", "interpbench"),
    "mcqa": ("qwen2.5", "gemma2", "llama3"),
    "arithmetic-addition": ("llama3",),
    "arithmetic-subtraction": ("llama3",),
    "arc-easy": ("gemma2", "llama3"),
    "arc-challenge": ("llama3",),
}
PERCENTAGES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)  # of all edges, of the circuits in a cell's folder
MOST_BYTES = 50_000_000  # of a file; larger ones are skipped
FEWEST = 2  # tasks, and models, of a submission
SUFFIXES = (".json", ".pt")


def folder_of(task: str, model: str) -> str:
    """A cell's folder.

    Examples
    --------
    >>> folder_of("arc_easy", "gemma2")
    'arc-easy_gemma2'
    """
    return f"{task.replace('_', '-').lower()}_{model.lower()}"


def cell_of(folder: str, models: Iterable[str] = MODELS) -> tuple[str, str] | None:
    """Task and model, one of ``models``, of a cell's folder; None if the name does not hold both.

    Examples
    --------
    >>> cell_of("EAP-IG_arc-easy_Gemma2"), cell_of("ioi")
    (('arc-easy', 'gemma2'), None)
    """
    name = folder.lower()
    task = next((each for each in TASKS if each in name), None)
    model = next((each for each in models if each in name), None)
    return None if task is None or model is None else (task, model)

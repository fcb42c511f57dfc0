"""Find the smallest circuit with which a transformer does a task, and the evidence that it does.

>>> import circuitsearch as cs
>>> cs.EAPIG(steps=5)
EAPIG(steps=5)

Names are imported when they are first used, so that ``import circuitsearch`` and the command line's help are fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from circuitsearch.version import __version__ as __version__

if TYPE_CHECKING:
    from circuitsearch import instruments as instruments
    from circuitsearch import tasks as tasks
    from circuitsearch.ablation import Mean as Mean
    from circuitsearch.ablation import Resample as Resample
    from circuitsearch.ablation import Zero as Zero
    from circuitsearch.bench import Benchmark as Benchmark
    from circuitsearch.bench import BenchmarkResults as BenchmarkResults
    from circuitsearch.bench import benchmark as benchmark
    from circuitsearch.circuit import Circuit as Circuit
    from circuitsearch.data_check import DataCheck as DataCheck
    from circuitsearch.data_check import check_data as check_data
    from circuitsearch.distributed import World as World
    from circuitsearch.distributed import world as world
    from circuitsearch.errors import InputError as InputError
    from circuitsearch.example import Example as Example
    from circuitsearch.experiment import Experiment as Experiment
    from circuitsearch.experiment import score as score
    from circuitsearch.figures import draw as draw
    from circuitsearch.figures import draw_agreement as draw_agreement
    from circuitsearch.figures import draw_comparison as draw_comparison
    from circuitsearch.figures import draw_curve as draw_curve
    from circuitsearch.figures import draw_heatmap as draw_heatmap
    from circuitsearch.figures import draw_leave_one_out as draw_leave_one_out
    from circuitsearch.finding import Finding as Finding
    from circuitsearch.finding import Listener as Listener
    from circuitsearch.formats import AttributionGraph as AttributionGraph
    from circuitsearch.formats import CircuitFile as CircuitFile
    from circuitsearch.formats import EAPGraph as EAPGraph
    from circuitsearch.formats import EdgePruningEdges as EdgePruningEdges
    from circuitsearch.formats import Foreign as Foreign
    from circuitsearch.formats import MIBFolder as MIBFolder
    from circuitsearch.formats import Sign as Sign
    from circuitsearch.formats import attribution_problems as attribution_problems
    from circuitsearch.formats import export as export
    from circuitsearch.formats import mib_problems as mib_problems
    from circuitsearch.formats import read_circuit as read_circuit
    from circuitsearch.granularity import Granularity as Granularity
    from circuitsearch.graph import Graph as Graph
    from circuitsearch.library import Library as Library
    from circuitsearch.loading import load as load
    from circuitsearch.methods import EAP as EAP
    from circuitsearch.methods import EAPIG as EAPIG
    from circuitsearch.methods import GIM as GIM
    from circuitsearch.methods import CleanCorrupt as CleanCorrupt
    from circuitsearch.methods import Conductance as Conductance
    from circuitsearch.methods import EAPIGActivations as EAPIGActivations
    from circuitsearch.methods import EdgePruning as EdgePruning
    from circuitsearch.methods import Ensemble as Ensemble
    from circuitsearch.methods import Exact as Exact
    from circuitsearch.methods import Matryoshka as Matryoshka
    from circuitsearch.methods import PathEffects as PathEffects
    from circuitsearch.methods import QKFix as QKFix
    from circuitsearch.methods import Recheck as Recheck
    from circuitsearch.methods import RelP as RelP
    from circuitsearch.methods import direct_effect as direct_effect
    from circuitsearch.methods import direct_sweep as direct_sweep
    from circuitsearch.methods import path_effect as path_effect
    from circuitsearch.methods import sender_effect as sender_effect
    from circuitsearch.methods import sender_sweep as sender_sweep
    from circuitsearch.methods.acdc import acdc as acdc
    from circuitsearch.page import example_prompt as example_prompt
    from circuitsearch.page import write_page as write_page
    from circuitsearch.pipeline import find as find
    from circuitsearch.references import Reference as Reference
    from circuitsearch.references import ReferenceComparison as ReferenceComparison
    from circuitsearch.references import compare_with_reference as compare_with_reference
    from circuitsearch.references import reference as reference
    from circuitsearch.replication import Methods as Methods
    from circuitsearch.replication import Parts as Parts
    from circuitsearch.replication import Resamples as Resamples
    from circuitsearch.replication import Seeds as Seeds
    from circuitsearch.replication import Stability as Stability
    from circuitsearch.replication import Targets as Targets
    from circuitsearch.replication import Templates as Templates
    from circuitsearch.replication import stability as stability
    from circuitsearch.run import RunFolder as RunFolder
    from circuitsearch.run import open_run as open_run
    from circuitsearch.scores import Scores as Scores
    from circuitsearch.search import Complete as Complete
    from circuitsearch.search import Refine as Refine
    from circuitsearch.search import complete as complete
    from circuitsearch.search import greedy as greedy
    from circuitsearch.search import minimal as minimal
    from circuitsearch.search import node_minimal as node_minimal
    from circuitsearch.search import optimal as optimal
    from circuitsearch.search import refine as refine
    from circuitsearch.search import smallest_subset as smallest_subset
    from circuitsearch.search import threshold as threshold
    from circuitsearch.search import top as top
    from circuitsearch.search import with_effects as with_effects
    from circuitsearch.setup import Setup as Setup
    from circuitsearch.task import Task as Task
    from circuitsearch.validation import Clusters as Clusters
    from circuitsearch.validation import Measurement as Measurement
    from circuitsearch.validation import Mechanisms as Mechanisms
    from circuitsearch.validation import Report as Report
    from circuitsearch.validation import Specificity as Specificity
    from circuitsearch.validation import behaviour as behaviour
    from circuitsearch.validation import comparable as comparable
    from circuitsearch.validation import generalisation as generalisation
    from circuitsearch.validation import mechanisms as mechanisms
    from circuitsearch.validation import specificity as specificity
    from circuitsearch.validation import validate as validate

# Where each public name lives. No submodule may bear the name of one of them, or importing it would hide the name.
_HOMES = {
    "circuitsearch.ablation": ("Mean", "Resample", "Zero"),
    "circuitsearch.bench": ("Benchmark", "BenchmarkResults", "benchmark"),
    "circuitsearch.circuit": ("Circuit",),
    "circuitsearch.data_check": ("check_data", "DataCheck"),
    "circuitsearch.errors": ("InputError",),
    "circuitsearch.figures": (
        "draw",
        "draw_agreement",
        "draw_comparison",
        "draw_curve",
        "draw_heatmap",
        "draw_leave_one_out",
    ),
    "circuitsearch.formats": (
        "AttributionGraph",
        "CircuitFile",
        "EAPGraph",
        "EdgePruningEdges",
        "Foreign",
        "MIBFolder",
        "Sign",
        "attribution_problems",
        "export",
        "mib_problems",
        "read_circuit",
    ),
    "circuitsearch.granularity": ("Granularity",),
    "circuitsearch.graph": ("Graph",),
    "circuitsearch.library": ("Library",),
    "circuitsearch.loading": ("load",),
    "circuitsearch.methods": (
        "EAP",
        "EAPIG",
        "CleanCorrupt",
        "EAPIGActivations",
        "Conductance",
        "RelP",
        "GIM",
        "QKFix",
        "Exact",
        "Recheck",
        "Matryoshka",
        "EdgePruning",
        "Ensemble",
        "PathEffects",
        "path_effect",
        "direct_effect",
        "direct_sweep",
        "sender_effect",
        "sender_sweep",
    ),
    "circuitsearch.methods.acdc": ("acdc",),
    "circuitsearch.distributed": ("World", "world"),
    "circuitsearch.experiment": ("Experiment", "score"),
    "circuitsearch.finding": ("Finding", "Listener"),
    "circuitsearch.page": ("example_prompt", "write_page"),
    "circuitsearch.pipeline": ("find",),
    "circuitsearch.references": ("Reference", "ReferenceComparison", "compare_with_reference", "reference"),
    "circuitsearch.replication": (
        "stability",
        "Stability",
        "Parts",
        "Resamples",
        "Seeds",
        "Templates",
        "Targets",
        "Methods",
    ),
    "circuitsearch.run": ("RunFolder", "open_run"),
    "circuitsearch.scores": ("Scores",),
    "circuitsearch.setup": ("Setup",),
    "circuitsearch.search": (
        "Complete",
        "Refine",
        "complete",
        "greedy",
        "minimal",
        "node_minimal",
        "optimal",
        "refine",
        "smallest_subset",
        "threshold",
        "top",
        "with_effects",
    ),
    "circuitsearch.example": ("Example",),
    "circuitsearch.task": ("Task",),
    "circuitsearch.validation": (
        "Clusters",
        "Measurement",
        "Mechanisms",
        "Report",
        "Specificity",
        "behaviour",
        "comparable",
        "generalisation",
        "mechanisms",
        "specificity",
        "validate",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 (in the order in which a person meets them)
    "load",
    "tasks",
    "Task",
    "Example",
    "check_data",
    "find",
    "open_run",
    "Experiment",
    "World",
    "world",
    "score",
    "EAP",
    "EAPIG",
    "EAPIGActivations",
    "CleanCorrupt",
    "Conductance",
    "RelP",
    "GIM",
    "QKFix",
    "Exact",
    "Recheck",
    "Matryoshka",
    "EdgePruning",
    "Ensemble",
    "acdc",
    "Granularity",
    "Resample",
    "Mean",
    "Zero",
    "threshold",
    "top",
    "greedy",
    "optimal",
    "minimal",
    "node_minimal",
    "refine",
    "Refine",
    "complete",
    "Complete",
    "smallest_subset",
    "with_effects",
    "validate",
    "generalisation",
    "comparable",
    "behaviour",
    "specificity",
    "mechanisms",
    "stability",
    "Parts",
    "Resamples",
    "Seeds",
    "Templates",
    "Targets",
    "Methods",
    "benchmark",
    "Benchmark",
    "draw",
    "draw_comparison",
    "write_page",
    "example_prompt",
    "export",
    "read_circuit",
    "Sign",
    "CircuitFile",
    "EAPGraph",
    "EdgePruningEdges",
    "AttributionGraph",
    "MIBFolder",
    "attribution_problems",
    "mib_problems",
    "reference",
    "compare_with_reference",
    "path_effect",
    "direct_effect",
    "direct_sweep",
    "sender_effect",
    "sender_sweep",
    "draw_curve",
    "draw_agreement",
    "draw_leave_one_out",
    "draw_heatmap",
    "instruments",
    "Finding",
    "Listener",
    "RunFolder",
    "Library",
    "DataCheck",
    "Setup",
    "Scores",
    "Circuit",
    "Foreign",
    "Reference",
    "ReferenceComparison",
    "Report",
    "Measurement",
    "Specificity",
    "Mechanisms",
    "Clusters",
    "Stability",
    "BenchmarkResults",
    "PathEffects",
    "Graph",
    "InputError",
]


def __getattr__(name: str) -> Any:
    if name in ("instruments", "tasks"):
        return import_module(f"circuitsearch.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'circuitsearch' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

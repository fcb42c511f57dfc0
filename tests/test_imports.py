"""Imports run one way, the public names are what they seem, and nothing heavy is imported before it is needed."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import circuitsearch as cs

PACKAGE = Path(cs.__file__).parent

# From the lowest layer up: a package or module imports from lower layers only, so that there can be no circle.
# fmt: off
LAYERS = [
    {"version", "errors", "escape", "tex_text", "markdown_text", "colours", "progress", "show", "batch",
     "batching", "dividing"},
    {"knobs", "distributed", "checked_lines"},
    {"files", "own_folder", "table_files", "target", "journal", "steps", "devices", "text", "registry", "setup", "blocks", "metrics",
     "row_problems", "memory", "details"},
    {"saved_state", "granularity", "names", "alignment", "metric_contract", "data", "history", "certificate", "redundancy"},
    {"example"},
    {"columns"},
    {"graph", "task"},
    {"reachability", "tasks", "ablation", "models"},
    {"engine", "circuit"},
    {"scores", "loading", "roles"},
    {"budget", "averaging"},
    {"experiment", "formats", "references"},
    {"faithfulness", "methods", "data_check"},
    {"search", "instruments"},
    {"validation", "question"},
    {"finding", "figures"},
    {"page", "summary", "progress_bar"},
    {"run_files", "run_log"},
    {"run", "run_status"},
    {"library"},
    {"pipeline"},
    {"replication"},
    {"bench"},
    {"cli"},
]
# fmt: on
LAYER_OF = {name: layer for layer, names in enumerate(LAYERS) for name in names}

HEAVY = ("torch", "transformers", "matplotlib", "scipy", "numpy", "networkx")


def files() -> Iterator[tuple[str, Path]]:
    """Every file with the package or module at the top that it belongs to."""
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        yield parts[0], file


def imported(file: Path) -> set[str]:
    """Modules of ours that a file imports, wherever in it; what only a type checker reads does not count."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing_only = {
        node
        for guard in ast.walk(tree)
        if isinstance(guard, ast.If) and "TYPE_CHECKING" in ast.unparse(guard.test)
        for child in guard.body
        for node in ast.walk(child)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {_module(str(node.module), alias.name) for alias in node.names}
    return {name for name in names if name.startswith("circuitsearch.")}


def _module(package: str, name: str) -> str:
    """The module that ``from package import name`` loads: the name itself may be one."""
    place = PACKAGE.parent.joinpath(*package.split("."), name)
    return f"{package}.{name}" if place.with_suffix(".py").is_file() or place.is_dir() else package


def lower(name: str) -> set[str]:
    """Packages and modules of the layers below one's own."""
    return {other for other, layer in LAYER_OF.items() if layer < LAYER_OF[name]}


@pytest.mark.parametrize(("name", "file"), list(files()), ids=lambda value: getattr(value, "stem", value))
def test_imports_run_one_way(name: str, file: Path):
    """No package imports from its own layer or one above it."""
    if name in ("__init__", "__main__"):
        return
    assert name in LAYER_OF, f"give {name} a place in LAYERS"
    above = {module.split(".")[1] for module in imported(file)} - lower(name) - {name}
    assert not above, f"{file.relative_to(PACKAGE)} may not import {', '.join(sorted(above))}"


def test_no_circle_of_modules():
    """Within a package too, and with imports inside functions, modules can be put in an order."""
    own = {file: ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for _, file in files()}
    order = TopologicalSorter({name.removesuffix(".__init__"): imported(file) for file, name in own.items()})
    order.prepare()  # raises a CycleError that names the circle


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "code",
    [
        "import circuitsearch",
        "import circuitsearch; circuitsearch.InputError; dir(circuitsearch)",
        "from circuitsearch.cli import main; main(['--help'])",
        "from circuitsearch.cli import main; main(['find', '--help'])",
        "from circuitsearch.cli import main; main(['fnd'])",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code: str):
    """Import, help and a mistyped verb are quick because they load none of the large libraries."""
    loaded = run(f"{code}\nimport sys; print('LOADED', *sys.modules)").partition("LOADED")[2].split()
    assert "circuitsearch" in loaded
    assert not set(loaded) & set(HEAVY)


def test_every_public_name_is_there():
    """All names of __all__ can be had, are in dir(), and are what a type checker is told."""
    assert all(getattr(cs, name) is not None for name in cs.__all__)
    assert set(cs.__all__) <= set(dir(cs))
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    guard = next(node for node in tree.body if isinstance(node, ast.If))
    told = {
        (node.module, alias.name) for node in guard.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert told == {(home, name) for name, home in cs._HOME_OF.items()} | {
        ("circuitsearch", package) for package in ("instruments", "tasks")
    }
    assert {name for _, name in told} == set(cs.__all__)


def test_an_unknown_name_is_an_attribute_error():
    """As of any module."""
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        cs.lode  # type: ignore[attr-defined]  # noqa: B018


def test_no_submodule_hides_a_public_name():
    """Whatever is imported first, cs.validate is the function and not a module."""
    modules = {file.stem if file.is_file() else file.name for file in PACKAGE.iterdir()}
    assert not modules & (set(cs.__all__) - {"instruments", "tasks"})
    for name in ("loading", "scores", "validation.validate", "search.minimal", "figures.diagram"):
        importlib.import_module(f"circuitsearch.{name}")
    assert all(callable(getattr(cs, name)) for name in ("load", "score", "validate", "minimal", "draw"))

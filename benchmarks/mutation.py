"""Which small faults in a file do its tests notice?

Each mutant is a module with one place changed: a comparison turned, an operator swapped, a constant one more or less, a
``not`` or a minus taken away, ``and`` for ``or``, ``min`` for ``max``, a statement dropped. Its tests run on it in a fork of a
process that has imported torch and transformers already, until the first fails. Results: docs/testing.md.

    python -m benchmarks.mutation                          # all files below
    python -m benchmarks.mutation circuitsearch/search     # some of them
    python -m benchmarks.mutation --only 17,41 --verbose   # some mutants, with what pytest says
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = {  # what pytest is called with
    "circuitsearch/search/minimal.py": ("tests/search/test_elimination.py",),
    "circuitsearch/search/ranked.py": ("tests/search/test_search.py", "-k", "not minimal"),
    "circuitsearch/faithfulness.py": ("tests/validation",),
    "circuitsearch/validation/behaviour.py": (
        "tests/validation",
        "tests/test_experiment.py",
        "-k",
        "behaviour or likeliest",
    ),
    "circuitsearch/validation/bootstrap.py": ("tests/validation",),
    "circuitsearch/validation/checks/controls.py": ("tests/validation",),
    "circuitsearch/validation/checks/curve.py": ("tests/validation",),
    "circuitsearch/validation/report.py": ("tests/validation",),
    "circuitsearch/validation/validate.py": ("tests/validation",),
}
CPU_SECONDS = 120  # a mutant that takes longer goes round in circles: noticed
SWAPS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,), ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div,), ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,), ast.Mod: (ast.Mult,), ast.Pow: (ast.Mult,), ast.BitAnd: (ast.BitOr,), ast.BitOr: (ast.BitAnd,),
    ast.LShift: (ast.RShift,), ast.RShift: (ast.LShift,), ast.And: (ast.Or,), ast.Or: (ast.And,),
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "amax": "amin", "amin": "amax", "argmax": "argmin"}
DROPPED = (ast.Expr, ast.Raise, ast.AugAssign, ast.Break, ast.Continue)


@dataclass(frozen=True)
class Mutant:
    """One changed place of a file."""

    file: str
    number: int
    line: int
    what: str
    tree: ast.Module


def mutants(file: str) -> list[Mutant]:
    """Every mutant of a file, in the order of its text."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    found: list[Mutant] = []
    for place, node in enumerate(ast.walk(tree)):
        node.__dict__["place"] = place
    decides = {place_of(node) for node in ast.walk(_code_only(tree))}
    for node in ast.walk(tree):
        if place_of(node) not in decides:
            continue
        for what, new in _changes(node):
            changed = copy.deepcopy(tree)
            _Replace(place_of(node), new).visit(changed)
            line: int = node.__dict__["lineno"]
            found.append(Mutant(file, len(found), line, what, ast.fix_missing_locations(changed)))
    return found


def place_of(node: ast.AST) -> int:
    """Which node of its tree it is; -1 for one that was made."""
    return getattr(node, "place", -1)


def _code_only(tree: ast.Module) -> ast.Module:
    """Without annotations, decorators, texts and zip's check of lengths: what is left decides what is computed."""
    code = copy.deepcopy(tree)
    for node in ast.walk(code):
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Name("object")
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            node.decorator_list = []
            if isinstance(node, ast.FunctionDef):
                node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.JoinedStr):
            node.values = []
        elif isinstance(node, ast.Call):
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "strict"]  # as an assertion does
    return code


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Each change of one node: what it is in words, and the new node."""
    match node:
        case ast.Compare(ops=ops):
            for index, op in enumerate(ops):
                for other in SWAPS.get(type(op), ()):
                    yield _said(node, _with(node, ops=[*ops[:index], other(), *ops[index + 1 :]]))
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op):
            for other in SWAPS.get(type(op), ()):
                yield _said(node, _with(node, op=other()))
        case ast.UnaryOp(operand=operand):
            yield _said(node, operand)
        case ast.Constant(value=bool(value)):
            yield _said(node, _with(node, value=not value))
        case ast.Constant(value=int(value) | float(value)):
            for by in (1, -1):
                yield _said(node, _with(node, value=value + by))
        case ast.Name(id=name) if name in NAMES:
            yield _said(node, _with(node, id=NAMES[name]))
        case ast.Attribute(attr=name) if name in NAMES:
            yield _said(node, _with(node, attr=NAMES[name]))
        case ast.If(test=test) | ast.IfExp(test=test):
            yield f"if {ast.unparse(test)} -> if not", _with(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.Return(value=ast.AST() as value) if ast.unparse(value) != "None":
            yield f"{ast.unparse(node)} -> return", _with(node, value=None)
    if isinstance(node, DROPPED) and not _is_docstring(node):
        yield f"{ast.unparse(node)[:60]} -> pass", ast.Pass()


def _with(node: ast.AST, **fields: object) -> ast.AST:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _said(old: ast.AST, new: ast.AST) -> tuple[str, ast.AST]:
    return f"{ast.unparse(old)} -> {ast.unparse(new)}", new


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


class _Replace(ast.NodeTransformer):
    """Put a node in another's place."""

    def __init__(self, place: int, new: ast.AST) -> None:
        self.place, self.new = place, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if place_of(node) == self.place else self.generic_visit(node)


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import a mutant in the place of its module."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant, self.name = mutant, mutant.file.removesuffix(".py").replace("/", ".")

    def find_spec(self, fullname, path=None, target=None):
        if fullname == self.name:
            return importlib.util.spec_from_file_location(fullname, ROOT / self.mutant.file, loader=self)
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module) -> None:
        exec(compile(self.mutant.tree, self.mutant.file, "exec"), vars(module))


def import_what_is_slow() -> None:
    """Import torch, transformers and the rest through the tests, then forget all that is our own."""
    sys.path.insert(0, str(ROOT))
    import pytest  # noqa: F401
    import scipy.stats  # noqa: F401

    import tests.search.test_elimination
    import tests.validation.test_report_by_hand  # noqa: F401

    for name in list(sys.modules):
        if name.split(".")[0] in ("circuitsearch", "tests"):
            del sys.modules[name]


def started(mutant: Mutant, verbose: bool) -> int:
    """Run the tests on a mutant in a process of its own, and return that process's number."""
    child = os.fork()
    if child == 0:
        os._exit(_tested(mutant, verbose))
    return child


def survivors(chosen: list[Mutant], jobs: int, verbose: bool) -> Iterator[Mutant]:
    """Mutants on which all tests pass, as they are found."""
    running: dict[int, Mutant] = {}
    # in random order, so that a run that is stopped has seen a fair sample
    waiting = iter([*_as_they_are(chosen), *random.Random(0).sample(chosen, len(chosen))])
    done = 0
    while True:
        while len(running) < jobs and (mutant := next(waiting, None)) is not None:
            running[started(mutant, verbose)] = mutant
        if not running:
            return
        child, status = os.wait()
        mutant = running.pop(child)
        if mutant.number < 0:
            assert status == 0, f"{TESTS[mutant.file]} fail on the code as it is"
            continue
        done += 1
        if done % 10 == 0:
            print(f"{done} of {len(chosen)}", flush=True)
        if status == 0:
            yield mutant


def _as_they_are(chosen: list[Mutant]) -> list[Mutant]:
    """One file of each set of tests, unchanged: its tests must pass."""
    files = {TESTS[mutant.file]: mutant.file for mutant in chosen}.values()
    return [Mutant(file, -1, 0, "unchanged", ast.parse((ROOT / file).read_text(encoding="utf-8"))) for file in files]


def _tested(mutant: Mutant, verbose: bool) -> int:
    import pytest

    os.chdir(ROOT)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    if not verbose:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
    sys.meta_path.insert(0, _Mutated(mutant))
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    settings = "-x -q --assert=plain -p no:cacheprovider -o addopts=--import-mode=importlib -o filterwarnings="
    return int(pytest.main([*settings.split(), *TESTS[mutant.file]]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="files or folders to mutate; all by default")
    parser.add_argument("--only", help="numbers of mutants, with commas")
    parser.add_argument("--verbose", action="store_true", help="show what pytest says")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="only count the mutants")
    given = parser.parse_args()
    files = [file for file in TESTS if not given.paths or file.startswith(tuple(given.paths))]
    chosen = [mutant for file in files for mutant in mutants(file)]
    if given.only:
        chosen = [mutant for mutant in chosen if str(mutant.number) in given.only.split(",")]
    if given.list:
        print({file: sum(mutant.file == file for mutant in chosen) for file in files})
        return
    import_what_is_slow()
    began, lived = time.monotonic(), []
    for mutant in survivors(chosen, given.jobs, given.verbose):
        lived.append(mutant)
        print(f"survives: {mutant.file}:{mutant.line} #{mutant.number}: {mutant.what}", flush=True)
    for file in files:
        total, left = (sum(mutant.file == file for mutant in some) for some in (chosen, lived))
        print(f"| `{file}` | {total} | {total - left} |")
    print(f"{len(chosen) - len(lived)} of {len(chosen)} died, in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()

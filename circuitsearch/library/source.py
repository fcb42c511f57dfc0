"""What is added to a library: the folder of a run, or a file of this or of another program."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from circuitsearch import formats
from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError, counted, shortened
from circuitsearch.files import MOST_BYTES, parse_json, read_bytes, read_json, to_json
from circuitsearch.finding import Finding
from circuitsearch.formats import Sign
from circuitsearch.roles import Roles, roles_of
from circuitsearch.run import FILES, MANIFEST, MINIMAL, Manifest
from circuitsearch.run_files import PAGE, ROLES, SOURCE, SUMMARY
from circuitsearch.validation import Report

RUN, OWN = "run", "circuit"
KEPT = (MANIFEST, *(name for name, _ in FILES.values()), MINIMAL[0], ROLES, SUMMARY, SOURCE)
CIRCUIT, REPORT = FILES["circuit"][0], FILES["report"][0]
MOST_EDGES = 1_000_000  # of a circuit that a library keeps
_PAGE_DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


@dataclass(frozen=True)
class Source:
    """A circuit with what is known of it.

    Attributes
    ----------
    circuit : Circuit
        The circuit.
    form : str
        ``"run"``, ``"circuit"``, or the format of another program.
    files : mapping
        The files that are kept as they are.
    report : Report, optional
        Its evidence.
    manifest : Manifest, optional
        Of the run.
    roles : mapping
        Roles of nodes, ``{"a1.h3": "induction, duplicate token"}``.
    model, task : str
        The model's and the task's name, empty if unknown.
    folder : str
        The folder of the run, absolute.
    notes : tuple of str
        What was assumed in reading a file of another program, and what is left out.
    """

    circuit: Circuit
    form: str
    files: Mapping[str, bytes]
    report: Report | None = None
    manifest: Manifest | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    task: str = ""
    folder: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.circuit) > MOST_EDGES:
            raise InputError(
                f"a library keeps circuits of up to {MOST_EDGES:,} edges, and this one has {len(self.circuit):,}: add a smaller one"
            )

    @property
    def model_key(self) -> str:
        """The digest of the model's weights; without one, its name."""
        return self.circuit.setup.weights if self.circuit.setup is not None else self.model

    @property
    def digest(self) -> str:
        """SHA-256 of the circuit with its setup; of a circuit without one, with the names of its model and task."""
        named = None if self.circuit.setup is not None else [self.model, self.task]
        return hashlib.sha256(to_json([self.circuit.to_dict(), named]).encode()).hexdigest()

    def named(self, model: str, task: str) -> Source:
        """The same with these names, where they are not empty."""
        return replace(self, model=model or self.model, task=task or self.task)

    @property
    def told(self) -> str:
        """What the report says."""
        if SUMMARY in self.files:
            return self.files[SUMMARY].decode(errors="replace")
        return "" if self.report is None else str(self.report)


# ---- runs


def from_folder(folder: Path) -> Source:
    """Read the folder of a run.

    Raises
    ------
    InputError
        If it has no finished circuit, or a file in it is not what it should be.
    """
    if not (folder / CIRCUIT).is_file():
        raise InputError(
            f"{_shown(folder)} has no {CIRCUIT}: give the folder of a run that has found its circuit, or a file"
        )
    circuit = Circuit.load(folder / CIRCUIT)
    manifest = Manifest.load(folder / MANIFEST) if (folder / MANIFEST).is_file() else None
    files, notes = _files(folder)
    about = _page_of(folder)
    return Source(
        circuit,
        RUN,
        files,
        Report.load(folder / REPORT) if (folder / REPORT).is_file() else None,
        manifest,
        _roles(circuit, folder / ROLES if ROLES in files else about.get("roles", {})),
        _model_name(manifest, about),
        circuit.task,
        str(folder.absolute()),
        notes,
    )


def from_finding(finding: Finding) -> Source:
    """Read what :func:`circuitsearch.find` gave, from its folder if it has one."""
    if finding.folder is not None:
        return from_folder(finding.folder)
    with tempfile.TemporaryDirectory() as name:
        for stage, (file, _) in FILES.items():
            getattr(finding, stage).save(Path(name) / file)
        return replace(from_folder(Path(name)), folder="")


def _files(folder: Path) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The files that are kept, and a note on each that is too large."""
    there = [folder / name for name in KEPT if (folder / name).is_file()]
    large = [file for file in there if file.stat().st_size > MOST_BYTES and file.name != CIRCUIT]
    notes = tuple(
        f"{file.name} has more than {counted(MOST_BYTES >> 20, 'MiB')[:-1]}, and is not kept" for file in large
    )
    return {file.name: read_bytes(file, "a file of a run", 1 << 30) for file in there if file not in large}, notes


def _page_of(folder: Path) -> dict[str, Any]:
    """The roles and the model's name that the run's page shows; empty if it has none, or one that was edited."""
    page = folder / PAGE
    if not page.is_file():
        return {}
    data = _PAGE_DATA.search(read_bytes(page, "a page", MOST_BYTES).decode(errors="replace"))
    try:
        content = parse_json(data[1], dict[str, Any]) if data else {}
    except InputError:
        return {}
    about, roles = content.get("about"), content.get("roles")
    model = about.get("model") if isinstance(about, dict) else ""
    return {"model": model if isinstance(model, str) else "", "roles": roles if isinstance(roles, dict) else {}}


def _model_name(manifest: Manifest | None, about: Mapping[str, Any]) -> str:
    if manifest is not None and manifest.question is not None:
        return manifest.question.model_name
    if manifest is not None and manifest.origin is not None:
        return Path(manifest.origin.file).stem
    return about.get("model", "")


# ---- files


def from_file(path: Path, of: Any = None, sign: Sign | str | None = None) -> Source:
    """Read a circuit's file, of this program or another.

    Raises
    ------
    InputError
        As :func:`circuitsearch.read_circuit`; if the file has scores and no circuit.
    """
    found = formats.read_circuit(path, of, sign=sign)
    if found.form == "circuit":
        return Source(circuit := Circuit.load(path), OWN, {CIRCUIT: path.read_bytes()}, task=circuit.task)
    return Source(found.circuit, found.form, {CIRCUIT: _saved(found.circuit)}, notes=found.notes)


def _saved(circuit: Circuit) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        circuit.save(Path(folder) / CIRCUIT)
        return (Path(folder) / CIRCUIT).read_bytes()


# ---- roles


def with_roles(source: Source, roles: Roles) -> Source:
    """The same with the roles of a file or mapping; nodes of it that have roles already get these."""
    return replace(source, roles={**source.roles, **_roles(source.circuit, roles)})


def _roles(circuit: Circuit, roles: Roles) -> dict[str, str]:
    """Each node's roles in one text."""
    given = read_json(roles, "a file of roles", dict[str, str | list[str]]) if isinstance(roles, str | Path) else roles
    joined = {node: ", ".join(each) if isinstance(each, list | tuple) else each for node, each in given.items()}
    return roles_of(circuit, {node: role for node, role in joined.items() if role})


def _shown(path: Path) -> str:
    return shortened(path, 100)

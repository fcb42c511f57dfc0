"""What lies beside a circuit in the folder of its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from circuitsearch.run import FILES, MANIFEST, Manifest, about_run
from circuitsearch.run_files import ROLES
from circuitsearch.validation import Report


def run_of(circuit: Path) -> Path | None:
    """The folder of the run, if ``circuit`` is that folder or the circuit in it."""
    folder = circuit if circuit.is_dir() else circuit.parent
    ours = circuit.is_dir() or circuit.name == FILES["circuit"][0]
    return folder if ours and (folder / MANIFEST).is_file() else None


def results_beside(circuit: Path) -> dict[str, Any]:
    """The report, the model's name and the method of the run, as far as there are any."""
    folder = run_of(circuit)
    if folder is None:
        return {}
    report = folder / FILES["report"][0]
    found = {"report": Report.load(report)} if report.is_file() else {}
    return found | about_run(Manifest.load(folder / MANIFEST))


def roles_beside(circuit: Path) -> Path | None:
    """The file of roles in the circuit's folder, if there is one."""
    file = (circuit if circuit.is_dir() else circuit.parent) / ROLES
    return file if file.is_file() else None

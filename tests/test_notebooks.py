"""The notebooks run from top to bottom and show what they promise; those on the bundled model are kept without outputs."""

from __future__ import annotations

import json
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from circuitsearch.errors import InputError
from circuitsearch.models.fetch import fetch

FOLDER = Path(__file__).parent.parent / "docs/notebooks"
REAL = FOLDER / "real_model.ipynb"  # needs SmolLM2, and is kept with its outputs
NOTEBOOKS = sorted(set(FOLDER.glob("*.ipynb")) - {REAL})
ONE_CORE = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
SECONDS = 60
PLACE = re.compile(r"/(?:home|root|tmp|work|Users|usr|opt|var)/")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path: Path):
    """Outputs are made anew by whoever runs a notebook; kept, they would grow stale and large."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert all(cell["metadata"] == {} for cell in notebook["cells"])
    assert notebook["metadata"].keys() <= {"kernelspec", "language_info"} and path.stat().st_size < 20_000


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In an empty folder, on one core, without the network; every shown value has its figure or its table."""
    notebook = _executed(path, tmp_path, monkeypatch)
    shown = [
        output.data
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "data" in output
    ]
    assert len(shown) >= 5
    assert any("image/svg+xml" in data for data in shown) and any("text/html" in data for data in shown)
    assert not [data for data in shown if data.get("text/plain", "").startswith("<circuitsearch")]


def test_the_real_one_is_kept_as_it_ran():
    """From top to bottom without an error or a warning; its outputs show no path of the machine."""
    code = [cell for cell in json.loads(REAL.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert outputs and all(output["output_type"] in ("execute_result", "stream") for output in outputs)
    assert not [output for output in outputs if output.get("name") == "stderr"]
    text = json.dumps(outputs)
    assert not PLACE.findall(text) and len(text) < 400_000


@pytest.mark.real
def test_the_real_one_runs_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """On this machine, with the forms of outputs that are kept; numbers may differ in their last digits."""
    try:
        fetch("smollm2")
    except InputError as error:
        pytest.skip(f"SmolLM2 cannot be fetched: {error}")
    kept = json.loads(REAL.read_text(encoding="utf-8"))["cells"]
    found = _executed(REAL, tmp_path, monkeypatch, seconds=1800).cells
    assert [forms(cell) for cell in found] == [forms(cell) for cell in kept]


def forms(cell: Any) -> list[str]:
    """The form in which each output of a cell is shown, warnings aside."""
    shown = [output for output in cell.get("outputs", []) if output.get("name") != "stderr"]
    return [min(output.get("data", {"text": ""})) for output in shown]


def _executed(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: int = SECONDS) -> Any:
    nbformat = pytest.importorskip("nbformat", reason="notebooks are not installed: pip install -e '.[notebooks]'")
    nbclient = pytest.importorskip("nbclient", reason="notebooks are not installed: pip install -e '.[notebooks]'")
    pytest.importorskip("ipykernel", reason="notebooks are not installed: pip install -e '.[notebooks]'")
    for name, value in (
        ONE_CORE | {"IPYTHONDIR": str(folder / ".ipython"), "JUPYTER_RUNTIME_DIR": str(folder / ".run")}
    ).items():
        monkeypatch.setenv(name, value)
    # the kernel of this very interpreter, whatever kernels are installed beside it
    monkeypatch.setenv("JUPYTER_PATH", str(_kernel(folder)))
    notebook = nbformat.read(path, as_version=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Jupyter's own parts say of one another
        client = nbclient.NotebookClient(
            notebook, timeout=seconds, kernel_name="here", resources={"metadata": {"path": str(folder)}}
        )
        client.execute()
    return notebook


def _kernel(folder: Path) -> Path:
    place = folder / ".jupyter/kernels/here"
    place.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (place / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "here", "language": "python"}))
    return folder / ".jupyter"

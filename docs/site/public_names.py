"""For griffe, which reads the package without importing it: public names that are functions, not the modules of the same name."""

from __future__ import annotations

from typing import Any

import griffe


class PublicNames(griffe.Extension):
    """``from circuitsearch.validation import validate`` is the function of the module ``validate``."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Point such names of the package at what the module of their name has under it."""
        for name, member in list(pkg.members.items()):
            if member.is_alias and _is_module_with(pkg, member.target_path, name):
                pkg.set_member(name, griffe.Alias(name, f"{member.target_path}.{name}", parent=pkg))


def _is_module_with(pkg: griffe.Module, path: str, name: str) -> bool:
    try:
        found = pkg.modules_collection[path]
    except KeyError:  # another package's
        return False
    return not found.is_alias and found.is_module and name in found.members

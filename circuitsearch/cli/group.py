"""A group of commands."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

from circuitsearch.errors import unknown


class Verbs(TyperGroup):
    """The group of commands; for an unknown name the message gives the nearest."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if not args[0].startswith("-") and args[0] not in self.commands:
            raise unknown("command", args[0], self.commands)
        return super().resolve_command(ctx, args)

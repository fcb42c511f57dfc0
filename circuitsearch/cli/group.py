"""A group of commands."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

from circuitsearch.cli.examples import epilog
from circuitsearch.errors import unknown


class Verbs(TyperGroup):
    """The group of commands; for an unknown name the message gives the nearest, and the help of each ends with examples."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is not None and not command.epilog:
            above = ctx.command_path.partition(" ")[2]
            command.epilog = epilog(f"{above} {cmd_name}".strip())
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if not args[0].startswith("-") and args[0] not in self.commands:
            raise unknown("command", args[0], self.commands)
        return super().resolve_command(ctx, args)

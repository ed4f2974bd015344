"""Command groups whose commands are files, each imported only when it is called.

`NAME.py` in this folder is the command NAME, and `GROUP_NAME.py` the command GROUP NAME, where the file's
first line says so; what follows there is its line of help. The file defines the click command as `command`:

    \"\"\"`localrl runs watch`: the progress line of a run that another process works on.\"\"\"
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import click

from localrl.errors import UsageError, nearest

_FIRST_LINE = re.compile(r'"""`localrl ([a-z ]+)`: (.+?)\.?(?:""")?$')


class LazyGroup(click.Group):
    """The commands that were added to it, and those in files of their own."""

    def __init__(self, name: str = "", **attributes: Any) -> None:
        super().__init__(name, **attributes)
        self._files = _commands(name)
        """Name -> (module, line of help)"""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self._files])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._files:
            return super().get_command(ctx, cmd_name)
        command: click.Command = importlib.import_module(self._files[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        lines = {name: line for name, (_, line) in self._files.items()}
        lines |= {name: command.get_short_help_str(limit=100) for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(lines.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-"):
            raise UsageError(f"no command named {args[0]!r}", hint=nearest(args[0], known))
        return super().resolve_command(ctx, args)


def _commands(group: str) -> dict[str, tuple[str, str]]:
    """Of a group, or of `localrl` itself for an empty name: name -> (module, line of help)."""
    found = {}
    for path in Path(__file__).parent.glob(f"{group}_[a-z]*.py" if group else "[a-z]*.py"):
        with path.open(encoding="utf-8") as file:
            said = _FIRST_LINE.match(file.readline().rstrip())
        *parents, name = said[1].split() if said else [""]
        if said and parents == ([group] if group else []):
            found[name] = (f"localrl.cli.{path.stem}", f"{said[2][0].upper()}{said[2][1:]}.")
    return found

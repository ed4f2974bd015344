"""The command palette: every action of every screen by its label."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Provider

from localrl.tui import keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any

    from localrl.tui.app import LocalrlApp


class ActionCommands(Provider):
    """All rows of the table of keys."""

    async def discover(self) -> AsyncIterator[DiscoveryHit]:
        for _, label, help_line, perform in self._all():
            yield DiscoveryHit(label, perform, help=help_line)

    async def search(self, query: str) -> AsyncIterator[Hit]:
        matcher = self.matcher(query)
        front = cast("LocalrlApp", self.app).current_mode
        for group, label, help_line, perform in self._all():
            if (score := matcher.match(label)) > 0:
                # The screen in front comes first.
                yield Hit(score + (group == front), matcher.highlight(label), perform, help=help_line)

    def _all(self) -> list[tuple[str, str, str, Callable[[], Any]]]:
        """(group, label, help, what to do) of every action."""
        app = cast("LocalrlApp", self.app)
        return [
            (
                group,
                key.label if group == "app" else f"{keys.GROUPS[group]}: {key.label}",
                f"{app.key(f'{group}.{key.name}')}   {group}.{key.name}",
                partial(app.perform, group, key.action),
            )
            for group, table in keys.TABLE.items()
            for key in table
            if key.name != "everything"
        ]

"""Press keys by the names of their actions; `test_every_key.py` finds those that are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localrl.tui import keys

if TYPE_CHECKING:
    from textual.pilot import Pilot

TABLE = {f"{group}.{key.name}": key.keys.split(",") for group, table in keys.TABLE.items() for key in table}
"""An action's name -> its keys, the first of them the usual one."""


async def press(pilot: Pilot[None], name: str, key: str = "") -> None:
    """Press an action's usual key, or another of its keys, where the screen in front takes it."""
    key = key or TABLE[name][0]
    assert key in TABLE[name]
    taken = pilot.app.screen.active_bindings.get(key)
    assert taken is not None, f"nothing takes {key} here"
    assert taken.enabled, f"{key} does nothing here"
    await pilot.press(key)

"""Wait for a condition, never for a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.pilot import Pilot

PATIENCE_S = 60.0


async def wait_until(pilot: Pilot[None], true: Callable[[], Any], what: str = "") -> None:
    """Let the app go on until a condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened: {what or true}")
        await pilot.pause(0.01)

"""The two themes, and which of them suits the terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from textual.theme import Theme

from localrl.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

DARK = Theme(
    name="localrl-dark",
    dark=True,
    primary="#7ea6d9",
    secondary="#8c98ab",
    accent="#d8a657",
    success="#89b482",
    warning="#d8a657",
    error="#e0776f",
    background="#14171c",
    surface="#191d23",
    panel="#22272f",
    foreground="#d6dae0",
    variables={
        "border": "#343b46",
        "border-blurred": "#2a3039",
        "footer-key-foreground": "#7ea6d9",
        "footer-background": "#14171c",
        "block-cursor-background": "#33475f",
        "block-cursor-foreground": "#f2f4f7",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#262d37",
        "block-cursor-blurred-foreground": "#d6dae0",
        "input-selection-background": "#4a6a92 60%",
    },
)
LIGHT = Theme(
    name="localrl-light",
    dark=False,
    primary="#2f639e",
    secondary="#667085",
    accent="#8f5b00",
    success="#2f7a46",
    warning="#8f5b00",
    error="#b23a35",
    background="#fbfaf7",
    surface="#f5f3ee",
    panel="#ebe8e0",
    foreground="#262a31",
    variables={
        "border": "#cfcabf",
        "border-blurred": "#dedad1",
        "footer-key-foreground": "#2f639e",
        "footer-background": "#fbfaf7",
        "block-cursor-background": "#cfdff2",
        "block-cursor-foreground": "#10151c",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#e4e6e8",
        "block-cursor-blurred-foreground": "#262a31",
        "input-selection-background": "#a9c6ea",
    },
)


def choose(setting: str, known: Iterable[str]) -> str:
    """The theme's name for `auto`, `dark`, `light`, or the name of one that is known.

    Raises:
        UsageError: there is no such theme; names the nearest.
    """
    own = {"dark": DARK.name, "light": LIGHT.name}
    if setting not in ("auto", *own, *known):
        raise UsageError(f"no theme named {setting!r}", hint=nearest(setting, ["auto", *own, *known]))
    if setting == "auto":
        # Terminals that say what they look like do it with COLORFGBG: "foreground;background".
        background = os.environ.get("COLORFGBG", "").rpartition(";")[2]
        setting = "light" if background in ("7", "15") else "dark"
    return own.get(setting, setting)

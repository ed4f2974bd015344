"""What a screen looks like, as a text to read and compare: its characters, and below them their styles."""

from __future__ import annotations

import difflib
import os
import string
from pathlib import Path
from typing import TYPE_CHECKING

from textual.widgets import Input, TextArea

if TYPE_CHECKING:
    from rich.style import Style
    from textual.pilot import Pilot

FOLDER = Path(__file__).parent / "layouts"
ACCEPT = "LOCALRL_ACCEPT_LAYOUTS"
LOOKS = 60
"""A picture that so many looks found the same stays as it is."""
LOOK_EVERY_S = 0.02
LETTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits


def picture(pilot: Pilot[None]) -> str:
    """The screen in front: its lines, its styles as one letter a cell, and what the letters mean."""
    app = pilot.app
    drawn = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens)
    words: list[str] = []
    styles: list[str] = []
    letters: dict[str, str] = {}
    for parts in drawn.strips:  # type: ignore[union-attr]
        segments = [segment for strip in parts for segment in strip]
        line = [(character, _style(style)) for text, style, _ in segments for character in text]
        words.append("".join(character for character, _ in line))
        for _, style in line:
            letters.setdefault(style, LETTERS[len(letters)])
        styles.append("".join(letters[style] for _, style in line))
    legend = [f"{letter}  {style}" for style, letter in letters.items()]
    return "\n".join([*(f"{line}|" for line in words), "", *styles, "", *legend, ""])


def words_of(shown: str) -> list[str]:
    """The lines of a picture without its styles."""
    return [line.removesuffix("|") for line in shown.partition("\n\n")[0].splitlines()]


async def looks_like(pilot: Pilot[None], name: str) -> str:
    """Wait until the screen looks like the stored picture; the words that say how it differs, or none."""
    for field in pilot.app.screen.query(Input):
        field.cursor_blink = False
    for area in pilot.app.screen.query(TextArea):
        area.cursor_blink = False
    path = FOLDER / f"{name}.txt"
    accepting = bool(os.environ.get(ACCEPT))
    stored = path.read_text(encoding="utf-8") if path.exists() else ""
    shown, same = "", 0
    while same < LOOKS:
        pilot.app.clear_notifications()
        await pilot.pause(LOOK_EVERY_S)
        before, shown = shown, picture(pilot)
        if shown == stored:
            return ""
        same = same + 1 if shown == before else 0
    if accepting:
        FOLDER.mkdir(exist_ok=True)
        path.write_text(shown, encoding="utf-8")
        return ""
    lines = stored.splitlines(), shown.splitlines()
    seen = "\n".join(difflib.unified_diff(*lines, "stored", "now", n=0, lineterm=""))
    return f"{path.name} is not what the screen shows; if it should be, run this with {ACCEPT}=1\n{seen}\n"


def _style(style: Style | None) -> str:
    if style is None:
        return "plain"
    marks = ("bold", "dim", "italic", "underline", "strike", "reverse")
    own = [mark for mark in marks if getattr(style, mark)]
    colours = [colour.name if colour else "default" for colour in (style.color, style.bgcolor)]
    return " ".join([" on ".join(colours), *own])

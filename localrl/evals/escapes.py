"""Backslashes that a string literal took: TOML's and JSON's "\\boxed" is a backspace and "oxed"."""

from __future__ import annotations

import re

HINT = r"write \\boxed with two backslashes, or in TOML a literal string: '''...'''"
_NAMES = {
    "\b": ("a backspace", "b"),
    "\f": ("a form feed", "f"),
    "\r": ("a carriage return", "r"),
    "\t": ("a tab", "t"),
}
IN_DATA = re.compile(r"[\x08\x0c](?=[a-z])")
"""What no text of a dataset holds but by this mistake."""
_CONTROL = re.compile(
    r"([\x00-\x08\x0b-\x1f\x7f]|\t(?=(?:ext|imes|heta|frac|riangle|herefore)\b))([A-Za-z]*)"
)
"""A tab or an end of a line is nearly always meant; not so a tab in the place of "\\t" of a LaTeX command."""


def lost(text: str) -> str:
    """What control character stands where a command of LaTeX was meant; empty where none does."""
    found = _CONTROL.search(text.replace("\r\n", "\n"))
    if not found:
        return ""
    name, letter = _NAMES.get(found[1], ("", ""))
    if name and found[2]:
        return rf"{name} where \{letter}{found[2]} was meant"
    return name or f"the control character U+{ord(found[1]):04X}"

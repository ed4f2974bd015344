"""How an outcome looks: a sign that needs no colour, and the theme's colour for it."""

from __future__ import annotations

from typing import NamedTuple

from localrl.verdict import Outcome


class Symbol(NamedTuple):
    sign: str
    colour: str
    """A variable of the theme."""
    label: str


SYMBOLS: dict[str, Symbol] = {
    Outcome.CORRECT: Symbol("■", "success", "correct"),
    Outcome.WRONG: Symbol("□", "error", "wrong"),
    Outcome.NO_ANSWER: Symbol("○", "error", "no answer"),
    Outcome.TRUNCATED: Symbol("◧", "warning", "cut"),
    Outcome.LOOPED: Symbol("◎", "warning", "looped"),
    Outcome.VERIFIER_TIMEOUT: Symbol("◇", "secondary", "verifier timeout"),
    Outcome.VERIFIER_ERROR: Symbol("◆", "secondary", "verifier error"),
    Outcome.ENGINE_ERROR: Symbol("×", "secondary", "engine error"),
}
PENDING = Symbol("·", "border", "to do")
RUNNING = Symbol("▸", "primary", "running")
UNJUDGED = Symbol("▪", "primary", "being judged")

CODES: tuple[Symbol, ...] = (PENDING, RUNNING, UNJUDGED, *SYMBOLS.values())
"""Symbols by the code that the grid stores for a cell."""
PENDING_CODE, RUNNING_CODE, UNJUDGED_CODE = 0, 1, 2
CODE_OF: dict[str, int] = {str(outcome): 3 + i for i, outcome in enumerate(SYMBOLS)}

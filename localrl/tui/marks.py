"""How an outcome looks: a mark that tells it apart without colour, and the theme's colour for it."""

from __future__ import annotations

from typing import NamedTuple

from localrl.verdict import Outcome


class Mark(NamedTuple):
    sign: str
    colour: str
    """A variable of the theme."""
    words: str


MARKS: dict[str, Mark] = {
    Outcome.CORRECT: Mark("■", "success", "correct"),
    Outcome.WRONG: Mark("□", "error", "wrong"),
    Outcome.NO_ANSWER: Mark("○", "error", "no answer"),
    Outcome.TRUNCATED: Mark("◧", "warning", "cut"),
    Outcome.LOOPED: Mark("◎", "warning", "looped"),
    Outcome.VERIFIER_TIMEOUT: Mark("◇", "secondary", "verifier timeout"),
    Outcome.VERIFIER_ERROR: Mark("◆", "secondary", "verifier error"),
    Outcome.ENGINE_ERROR: Mark("×", "secondary", "engine error"),
}
PENDING = Mark("·", "border", "to do")
RUNNING = Mark("▸", "primary", "running")
UNJUDGED = Mark("▪", "primary", "being judged")

CODES: tuple[Mark, ...] = (PENDING, RUNNING, UNJUDGED, *MARKS.values())
"""Marks by the code that the grid keeps for a cell."""
PENDING_CODE, RUNNING_CODE, UNJUDGED_CODE = 0, 1, 2
CODE_OF: dict[str, int] = {str(outcome): 3 + i for i, outcome in enumerate(MARKS)}

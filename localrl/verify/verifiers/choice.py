"""The letter chosen is the right one; two letters never are. An option written out in a box counts as its
letter.

The options of a target are in the order shown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from localrl.verdict import Outcome, Response, Verdict
from localrl.verify import mathtext
from localrl.verify.base import NoParams as Params
from localrl.verify.base import answers
from localrl.verify.extractors import boxed
from localrl.verify.registry import extract

if TYPE_CHECKING:
    from localrl.verify.base import Runs, VerifierSpec

__all__ = ["RUNS", "VERSION", "Params", "verify"]

VERSION = "5"
RUNS: Runs = "inline"
TARGET = 'a letter, or `{"answer", "options"}`'
EXTRACTOR = "letter"


def verify(response: Response, target: Any, spec: VerifierSpec) -> Verdict:
    """Correct when the letter found is the right one; two letters (`A or B`) are no right answer."""
    right, options = (
        (target["answer"], target.get("options", [])) if isinstance(target, dict) else (target, [])
    )
    found = _letter_of(boxed.extract(response.answer), options) or extract(spec.extractor, response.answer)
    if found is None:
        return Verdict(Outcome.NO_ANSWER)
    letter = answers(right)[0].strip().strip("().").upper()
    correct = found.strip().upper() == letter
    return Verdict(Outcome.CORRECT if correct else Outcome.WRONG, score=float(correct), extracted=found)


def _letter_of(text: str | None, options: list[str]) -> str | None:
    """The letter of the one option that a box holds in words."""
    if not text:
        return None
    wanted = _plain(text)
    same = [index for index, option in enumerate(options) if _plain(option) == wanted]
    return chr(ord("A") + same[0]) if len(same) == 1 else None


def _plain(text: str) -> str:
    bare = re.sub(r"\\text\{([^{}]*)\}", r"\1", mathtext.normal(text))
    return mathtext.squeezed(bare).casefold()

r"""The values are equal: numbers to 150 digits (a fraction also as a decimal rounded to six places or more),
expressions, sets, intervals, tuples, equations.

Most answers are decided at once; what needs sympy is, in a worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localrl.verdict import Outcome, Response, Verdict
from localrl.verify import mathexpr, mathtext
from localrl.verify.base import NoParams as Params
from localrl.verify.base import answers, judged
from localrl.verify.extractors import boxed
from localrl.verify.plaintext import plain
from localrl.verify.registry import extract

if TYPE_CHECKING:
    from localrl.verify.base import Runs, VerifierSpec

__all__ = ["RUNS", "VERSION", "Params", "prepare", "quick", "verify"]

VERSION = "8"
RUNS: Runs = "process"
TARGET = "LaTeX or plain text, or a list of alternatives"
EXTRACTOR = "final"

_LONGEST = 2000  # characters; no gold answer comes near, and parsing takes time


def verify(response: Response, target: Any, spec: VerifierSpec) -> Verdict:
    """Correct when the answer equals the target, or any of a list of targets."""
    if (certain := quick(response, target, spec)) is not None:
        return certain
    found = extract(spec.extractor, response.answer) or ""
    answer = _plain(found)
    compare = mathexpr.Comparison(sympy=True)
    return judged(any(compare.equal(gold, answer) for gold in _golds(target)), found)


def quick(response: Response, target: Any, spec: VerifierSpec) -> Verdict | None:
    found = extract(spec.extractor, response.answer)
    if found is None:
        return Verdict(Outcome.NO_ANSWER)
    if len(found) > _LONGEST:
        return Verdict(Outcome.WRONG, extracted=found[:200], detail={"refused": "longer than any answer"})
    answer = _plain(found)
    if not answer:
        return Verdict(Outcome.NO_ANSWER)
    decided = [_at_once(gold, answer) for gold in _golds(target)]
    if True in decided:
        return judged(True, found)
    return None if None in decided else judged(False, found)


def prepare() -> None:
    from localrl.verify import mathsympy  # noqa: F401  sympy and math-verify, which take a second or two


def _golds(target: Any) -> list[str]:
    return [_plain(gold) for gold in answers(target)]


def _plain(text: str) -> str:
    return mathtext.normal(boxed.extract(text) or plain(text))


def _at_once(gold: str, answer: str) -> bool | None:
    if mathtext.squeezed(gold) == mathtext.squeezed(answer):
        return True
    try:
        return mathexpr.Comparison(sympy=False).equal(gold, answer)
    except mathexpr.Undecided:
        return None

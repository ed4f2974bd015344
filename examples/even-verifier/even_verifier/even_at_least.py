"""The answer is an even whole number that is not below the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localrl.verdict import Outcome, Response, Verdict
from localrl.verify.base import NoParams as Params
from localrl.verify.base import judged
from localrl.verify.registry import extract

if TYPE_CHECKING:
    from localrl.verify.base import Runs, VerifierSpec

__all__ = ["RUNS", "TARGET", "VERSION", "Params", "verify"]

VERSION = "1"
RUNS: Runs = "inline"
TARGET = "a whole number"


def verify(response: Response, target: Any, spec: VerifierSpec) -> Verdict:
    found = extract(spec.extractor, response.answer)
    if found is None:
        return Verdict(Outcome.NO_ANSWER)
    try:
        number = int(found)
    except ValueError:
        return judged(False, found)
    return judged(number % 2 == 0 and number >= int(target), found)

"""The text is equal, blanks aside; parameter `ignore_case`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localrl.tomlfile import Strict
from localrl.verdict import Outcome, Response, Verdict
from localrl.verify.base import answers, judged
from localrl.verify.registry import extract

if TYPE_CHECKING:
    from localrl.verify.base import Runs, VerifierSpec

VERSION = "2"
RUNS: Runs = "inline"
TARGET = "text, or a list of alternatives"


class Params(Strict):
    ignore_case: bool = False


def verify(response: Response, target: Any, spec: VerifierSpec) -> Verdict:
    """Correct when the answer is the target, blanks inside runs counted as one; a list holds alternatives."""
    found = extract(spec.extractor, response.answer)
    if found is None:
        return Verdict(Outcome.NO_ANSWER)
    params = Params.model_validate(spec.params)
    return judged(_normal(found, params) in {_normal(gold, params) for gold in answers(target)}, found)


def _normal(text: str, params: Params) -> str:
    joined = " ".join(text.split())
    return joined.casefold() if params.ignore_case else joined

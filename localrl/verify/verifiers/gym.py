"""reasoning-gym's own scorer gives exactly 1.0.

Below 1.0 the scorers give credit for form (`rectangle_count` up to 0.64 for junk), so the score is reported
as the reward and never counted. A target is `{"generator", "params", "entry"}`, the entry packed by `pack`.
"""

from __future__ import annotations

import functools
import json
import math
import re
from typing import TYPE_CHECKING, Any

from localrl.verdict import Outcome, Response, Verdict
from localrl.verify import gymload
from localrl.verify.base import NoParams as Params
from localrl.verify.registry import extract

if TYPE_CHECKING:
    from localrl.verify.base import Runs, VerifierSpec

__all__ = ["RUNS", "VERSION", "Params", "pack", "prepare", "quick", "unpack", "verify"]

VERSION = "3"
RUNS: Runs = "process"
TARGET = '`{"generator", "params", "entry"}`'

# These scorers hand the answer to `eval`, or to sympy's `parse_expr`, which evaluates it as Python.
_EVALUATING = {
    "binary_matrix",
    "countdown",
    "intermediate_integration",
    "n_queens",
    "polynomial_multiplication",
    "puzzle24",
    "simple_integration",
    "spiral_matrix",
    "string_insertion",
}
_PROGRAM = re.compile(r"__|[A-Za-z_\])}'\"]\s*\.\s*[A-Za-z_]|[\])}]\s*\(|\blambda\b|[A-Za-z_]\w*\s*\(")
_FUNCTION = re.compile(
    r"\b(?:a?(?:sin|cos|tan|sec|csc|cot)h?|exp|log|Integral|ln|sqrt|Abs|abs|pi|[a-zC])\s*(?=\()"
)
_UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    SyntaxError,
    TypeError,
    ValueError,
)


def verify(response: Response, target: Any, spec: VerifierSpec) -> Verdict:
    """Score the extracted answer.

    An answer that the scorer cannot read at all is wrong, provided that the scorer reads the gold answer.
    """
    if (certain := quick(response, target, spec)) is not None:
        return certain
    found = extract(spec.extractor, response.answer)
    dataset = _dataset(target["generator"], json.dumps(target.get("params", {}), sort_keys=True))
    entry = unpack(target["entry"])
    try:
        score = float(dataset.score_answer(found, entry))
        if score == 1.0 and not _believable(target["generator"], str(found), entry):
            return _verdict(0.0, found, {"scorer_overruled": "it takes this answer for any"})
        return _verdict(score, found)
    except _UNREADABLE as error:
        if entry.get("answer") is not None and dataset.score_answer(entry["answer"], entry) != 1.0:
            raise
        return _verdict(0.0, found, {"scorer_raised": f"{type(error).__name__}: {error}"[:300]})


def quick(response: Response, target: Any, spec: VerifierSpec) -> Verdict | None:
    """No answer, an answer that would be run, and scorers that only compare text need no worker."""
    found = extract(spec.extractor, response.answer)
    if found is None:
        return Verdict(Outcome.NO_ANSWER)
    generator = target["generator"]
    if generator in _EVALUATING and _PROGRAM.search(_FUNCTION.sub("", found)):
        return Verdict(Outcome.WRONG, extracted=found, detail={"refused": "the answer holds program code"})
    compare = gymload.common_scorer(generator)
    return _verdict(compare(found, target["entry"]), found) if compare else None


def _verdict(score: Any, found: str | None, detail: dict[str, Any] | None = None) -> Verdict:
    outcome = Outcome.CORRECT if float(score) == 1.0 else Outcome.WRONG
    return Verdict(outcome, score=min(max(float(score), 0.0), 1.0), extracted=found, detail=detail or {})


def prepare() -> None:
    gymload.generators()


def pack(value: Any) -> Any:
    """A JSON value from which `unpack` makes the entry again: tuples and dicts with other keys are tagged."""
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: pack(item) for key, item in value.items()}
        return {"$dict": [[pack(key), pack(item)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"$tuple": [pack(item) for item in value]}
    if isinstance(value, list):
        return [pack(item) for item in value]
    if isinstance(value, str):
        return str(value)  # numpy's strings too
    if value is None or isinstance(value, bool | int | float):
        return value
    return pack(value.tolist()) if hasattr(value, "tolist") else str(value)


def unpack(value: Any) -> Any:
    """The inverse of `pack`."""
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$tuple"}:
        return tuple(unpack(item) for item in value["$tuple"])
    if value.keys() == {"$dict"}:
        return {unpack(key): unpack(item) for key, item in value["$dict"]}
    return {key: unpack(item) for key, item in value.items()}


def _believable(generator: str, answer: str, entry: dict[str, Any]) -> bool:
    """Whether a score of 1.0 for this answer can be believed."""
    if re.search(r"\bnan\b", answer, re.IGNORECASE) and "nan" not in str(entry.get("answer")).lower():
        return False  # NaN passes for `complex_arithmetic`, whose distance to it is no number
    guard = _GUARDS.get(generator)
    return guard is None or guard(answer, entry)


def _same_word(answer: str, entry: dict[str, Any]) -> bool:
    """`game_of_life_halting` compares bool(text), which is true for every text."""
    return answer.strip().strip(".").casefold() == str(entry["answer"]).casefold()


def _given_numbers(answer: str, entry: dict[str, Any]) -> bool:
    """`puzzle24` does not ask whether the numbers are those of the puzzle."""
    used = [int(number) for number in re.findall(r"\d+", answer)]
    return sorted(used) == sorted(entry["metadata"]["numbers"])


def _near(answer: str, entry: dict[str, Any]) -> bool:
    """`coin_flip` takes 0 for every small probability."""
    try:
        return math.isclose(float(answer), float(entry["answer"]), rel_tol=0.02)
    except ValueError:
        return True


# Each names a scorer of reasoning-gym 0.1.25 that gives 1.0 to wrong answers, found by scoring junk with all.
_GUARDS = {
    "coin_flip": _near,
    "game_of_life_halting": _same_word,
    "puzzle24": _given_numbers,
}


@functools.lru_cache(maxsize=64)
def _dataset(generator: str, params: str) -> Any:
    return gymload.dataset(generator, json.loads(params))

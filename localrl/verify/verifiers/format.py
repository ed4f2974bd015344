"""Thinking and answer tags come once, in order, with nothing beside them; parameters `thinking`, `answer`,
`thinking_tags`, `answer_tags`.

The second reward of recipes such as R1's and OThink-MR1's. The opening tag of thinking may be missing where
the prompt ended with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localrl.tomlfile import Strict
from localrl.verdict import Outcome, Response, Verdict

if TYPE_CHECKING:
    from localrl.verify.base import Runs, VerifierSpec

VERSION = "1"
RUNS: Runs = "inline"
TARGET = "nothing"


class Params(Strict):
    thinking: bool = True
    """Thinking between its tags is wanted."""
    answer: bool = True
    """An answer between its tags is wanted, and no text after it."""
    thinking_tags: tuple[str, str] = ("<think>", "</think>")
    answer_tags: tuple[str, str] = ("<answer>", "</answer>")


def verify(response: Response, target: Any, spec: VerifierSpec) -> Verdict:
    """Correct when the form is right; `detail.fault` says what is not. The target is not looked at."""
    params = Params.model_validate(spec.params)
    fault = _fault(response, params)
    if fault is None:
        return Verdict(Outcome.CORRECT, score=1.0)
    return Verdict(Outcome.WRONG, detail={"fault": fault})


def _fault(response: Response, params: Params) -> str | None:
    text = response.raw or response.answer
    opened, closed = params.thinking_tags
    if params.thinking and response.thinking and opened not in text:
        text = opened + text
    wanted = [
        *(params.thinking_tags if params.thinking else ()),
        *(params.answer_tags if params.answer else ()),
    ]
    for tag in wanted:
        if (times := text.count(tag)) != 1:
            return f"{tag} comes {times} times"
    places = [text.index(tag) for tag in wanted]
    if places != sorted(places):
        return "the tags are out of order"
    if params.thinking and text[: places[0]].strip():
        return f"text before {opened}"
    if params.answer:
        if text[places[-1] + len(wanted[-1]) :].strip():
            return f"text after {wanted[-1]}"
        if params.thinking and text[places[1] + len(closed) : places[2]].strip():
            return f"text between {closed} and {wanted[2]}"
        if not text[places[-2] + len(wanted[-2]) : places[-1]].strip():
            return "the answer is empty"
    return None

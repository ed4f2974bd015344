"""From a whole text that a model wrote to what a verifier sees, as strictly as it can be read.

A text that ends inside its thinking is truncated: whatever it holds is no answer. Only what follows the last
closing tag counts, so that a model which thinks twice is not judged by its second thoughts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localrl import thinking
from localrl.verdict import Outcome, Response, Verdict

if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any

    from localrl.chat import ThinkingTags
    from localrl.verify.base import VerifierSpec
    from localrl.verify.pool import VerifierPool


def read(text: str, tags: ThinkingTags, starts_inside: bool = False) -> Response | None:
    """The response in a text, or None for one cut inside its thinking."""
    if thinking.unfinished(text, tags, starts_inside):
        return None
    first = thinking.split(text, tags, starts_inside)
    before, closed, answer = first.answer.rpartition(tags.close)
    if tags.open in answer:
        return None
    if not closed:
        return first
    return Response(answer=answer, thinking=first.thinking + before, raw=text)


def judge(
    pool: VerifierPool,
    spec: VerifierSpec,
    text: str,
    target: Any,
    tags: ThinkingTags,
    starts_inside: bool = False,
) -> Future[Verdict]:
    """The verdict on a whole text."""
    from concurrent.futures import Future

    response = read(text, tags, starts_inside)
    if response is not None:
        return pool.submit(spec, response, target)
    cut: Future[Verdict] = Future()
    cut.set_result(Verdict(Outcome.TRUNCATED))
    return cut

"""From what the engine says at the end of a sample to the sample and its forks, as they are stored."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from localrl.engine.protocol import FinishReason
from localrl.runs import rewarding
from localrl.sample import Sample
from localrl.thinking import split
from localrl.verdict import Outcome

if TYPE_CHECKING:
    from localrl.chat import ThinkingTags
    from localrl.engine.protocol import Finished, Fork
    from localrl.evals.spec import EvalSpec
    from localrl.sample import Problem

UNJUDGEABLE = {
    FinishReason.LENGTH: Outcome.TRUNCATED,
    FinishReason.CONTEXT: Outcome.TRUNCATED,
    FinishReason.LOOP: Outcome.LOOPED,
    FinishReason.ERROR: Outcome.ENGINE_ERROR,
}
"""A sample that did not end by itself has an outcome of its own and is not asked for an answer."""


def sample(
    end: Finished, problem: Problem, index: int, seed: int, spec: EvalSpec, tags: ThinkingTags | None
) -> Sample:
    """A sample that ended, with what it answered at each thinking budget."""
    outcome = UNJUDGEABLE.get(end.reason)
    tokens = end.thinking_tokens + end.answer_tokens
    return Sample(
        problem=problem,
        index=index,
        seed=seed,
        response=split(end.text, tags, end.starts_thinking),
        finish=str(end.reason),
        prompt_tokens=end.prompt_tokens,
        shared_tokens=end.shared_tokens,
        thinking_tokens=end.thinking_tokens,
        answer_tokens=end.answer_tokens,
        ttft_s=end.ttft_s,
        tokens_per_s=end.tokens_per_s,
        starts_thinking=end.starts_thinking,
        error=end.error,
        outcome=outcome,
        detail=rewarding.unjudged(spec, outcome, tokens) if outcome else {},
        ended=time.time(),
        forks=tuple(fork(each, problem, index, spec, tags) for each in end.forks if each.forced),
        natural=tuple(each.budget for each in end.forks if not each.forced),
    )


def fork(
    end: Fork, problem: Problem, index: int, spec: EvalSpec, tags: ThinkingTags | None, replayed: bool = False
) -> Sample:
    """What a sample answered when its thinking was closed at a budget."""
    outcome = UNJUDGEABLE.get(end.reason)
    tokens = end.thinking_tokens + end.answer_tokens
    return Sample(
        problem=problem,
        index=index,
        seed=end.seed,
        response=split(end.text, tags),
        finish=str(end.reason),
        thinking_tokens=end.thinking_tokens,
        answer_tokens=end.answer_tokens,
        outcome=outcome,
        detail=rewarding.unjudged(spec, outcome, tokens) if outcome else {},
        ended=time.time(),
        budget=end.budget,
        at=end.at,
        reopened=end.reopened,
        replayed=replayed,
    )

"""Rewards stand beside the verdict of every sample, and never change it."""

from __future__ import annotations

import pytest

from localrl import tomlfile
from localrl.evals.spec import EvalSpec, load
from localrl.runs import rewarding
from localrl.verdict import Outcome, Response
from localrl.verify.pool import VerifierPool

EVAL = """
name = "mine"
title = "Mine"
version = 1
data = { file = { path = "mine.jsonl" } }

[verifier]
name = "math"
extractor = "boxed"

[[rewards]]
name = "accuracy-format"
terms = [{}, { verifier = { name = "format", params = { answer = false } } }]

[[rewards]]
name = "dapo"
terms = [{ weight = 2.0, offset = -1.0 }]
overlong = { limit = 100, cache = 50 }
"""
SPEC = tomlfile.loads(EVAL, EvalSpec, load("starter")[1])


def judged(answer: str, tokens: int) -> tuple[Outcome, dict[str, float]]:
    response = Response(answer, thinking="t", raw=f"<think>t</think>{answer}")
    with VerifierPool() as pool:
        future = rewarding.submit(pool, SPEC, response, r"\sqrt{2}", tokens)
        verdict = future.result(timeout=60)
    return verdict.outcome, verdict.detail["rewards"]


@pytest.mark.process
def test_both_published_recipes_are_computed_beside_accuracy() -> None:
    assert judged(r"\boxed{\sqrt2}", 10) == (Outcome.CORRECT, {"accuracy-format": 2.0, "dapo": 1.0})
    assert judged(r"\boxed{2^{1/2}}", 75) == (Outcome.CORRECT, {"accuracy-format": 2.0, "dapo": 0.5})
    assert judged(r"\boxed{3}", 10) == (Outcome.WRONG, {"accuracy-format": 1.0, "dapo": -1.0})
    assert judged("none", 100) == (Outcome.NO_ANSWER, {"accuracy-format": 1.0, "dapo": -2.0})


def test_a_cut_sample_is_not_correct_and_as_long_as_it_is() -> None:
    detail = rewarding.unjudged(SPEC, Outcome.TRUNCATED, 100)
    assert detail == {"rewards": {"accuracy-format": 0.0, "dapo": -2.0}}


def test_an_eval_without_rewards_is_judged_by_its_verifier_alone() -> None:
    plain = SPEC.model_copy(update={"rewards": []})
    with VerifierPool() as pool:
        verdict = rewarding.submit(pool, plain, Response(r"\boxed{2}"), "2", 5).result(timeout=60)
    assert verdict.correct
    assert "rewards" not in verdict.detail
    assert rewarding.unjudged(plain, Outcome.TRUNCATED, 5) == {}


def test_every_verifier_that_a_reward_needs_is_known_before_the_run() -> None:
    assert [verifier.name for verifier in rewarding.verifiers(SPEC)] == ["math", "format"]

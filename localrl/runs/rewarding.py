"""Rewards of samples: an eval's named rewards, next to the verdict that counts as accuracy.

They are stored by name in the verdict's `detail.rewards`. A sample that was cut or looped is not judged:
its terms count as not correct, and its length counts as it is.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from localrl.verdict import Outcome, Response, Verdict

if TYPE_CHECKING:
    from localrl.evals.spec import EvalSpec
    from localrl.verify.base import VerifierSpec
    from localrl.verify.pool import VerifierPool


def verifiers(spec: EvalSpec) -> list[VerifierSpec]:
    """Every verifier that the eval needs, its own first."""
    found = [spec.verifier]
    for reward in spec.rewards:
        found += [term.verifier for term in reward.terms if term.verifier and term.verifier not in found]
    return found


def submit(
    pool: VerifierPool, spec: EvalSpec, response: Response, target: Any, tokens: int
) -> Future[Verdict]:
    """The verdict of the eval's own verifier, with the rewards in its detail.

    Args:
        tokens: the response's length, thinking included.
    """
    if not spec.rewards:
        return pool.submit(spec.verifier, response, target)
    futures = [pool.submit(verifier, response, target) for verifier in verifiers(spec)]
    combined: Future[Verdict] = Future()
    combined.set_running_or_notify_cancel()
    lock, left = threading.Lock(), [len(futures)]

    def one_done(_: Future[Verdict]) -> None:
        with lock:
            left[0] -= 1
            last = left[0] == 0
        if last:
            found = [future.result() for future in futures]
            rewards = values(spec, found, tokens)
            combined.set_result(replace(found[0], detail={**found[0].detail, "rewards": rewards}))

    for future in futures:
        future.add_done_callback(one_done)
    return combined


def values(spec: EvalSpec, verdicts: list[Verdict], tokens: int) -> dict[str, float]:
    """Each reward by name, from the verdicts of `verifiers(spec)` in their order."""
    needed = verifiers(spec)
    return {
        reward.name: reward.value(
            [verdicts[needed.index(term.verifier) if term.verifier else 0] for term in reward.terms], tokens
        )
        for reward in spec.rewards
    }


def unjudged(spec: EvalSpec, outcome: Outcome, tokens: int) -> dict[str, Any]:
    """The detail of a sample without a text to judge."""
    if not spec.rewards:
        return {}
    return {"rewards": values(spec, [Verdict(outcome)] * len(verifiers(spec)), tokens)}

"""Policy-gradient losses as pure functions of arrays, with the gradient worked out by hand.

The loss is a function of the log-probabilities of the drawn tokens alone, so every library gets the same
number and the same gradient from here, and only has to take the gradient on from the log-probabilities to the
adapter. With ratio r = exp(logprob - old), importance weight w = min(exp(old - engine), C), advantage A and
reference probability p_ref (the weights without the adapter), a token costs

    -w min(r A, clip(r, 1 - low, 1 + high) A) + beta (p_ref / p - log(p_ref / p) - 1)

as GRPO (arXiv 2402.03300, eq. 3 and 4) and DAPO (arXiv 2503.14476, eq. 8 and section 3.1) have it, with
token-level truncated importance sampling between the engine and the trainer (w = 1 in the papers, whose
sampler and trainer are the same). The papers differ in how tokens are averaged: see `token_weights`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Objective:
    """Which loss, with the numbers of one step."""

    mean: Literal["sample", "token"] = "sample"
    """GRPO's mean over samples of their tokens' means, or DAPO's mean over all tokens."""
    divisor: float | None = None
    """Divide by this instead of the batch's own number of samples (or tokens), so that a batch with few
    groups takes a smaller step, not one on a noisier gradient."""
    clip_low: float = 0.2
    clip_high: float = 0.2
    kl: float = 0.0
    """beta; 0 spares the pass over the reference."""
    importance_cap: float = 2.0
    """C, the largest importance weight of a token."""

    def over(self, lengths: Sequence[int]) -> Objective:
        """The same with a divisor, so that the losses of parts of these samples add up to that of all.

        Args:
            lengths: tokens of each sample.
        """
        return replace(self, divisor=self.divisor or (sum if self.mean == "token" else len)(lengths))


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """All arrays are (N,): one entry a token."""

    value: float
    gradient: Values
    """Of the value by each log-probability."""
    importance: Values
    """w, at most the cap."""
    capped: NDArray[np.bool_]
    kl: Values
    """k3 of each token; zeros without a reference."""


def token_weights(objective: Objective, lengths: Sequence[int]) -> Values:
    """What each token counts in the loss: (N,) for N = sum(lengths).

    Args:
        lengths: tokens of each sample, all at least 1.
    """
    counts = np.asarray(lengths)
    one = np.ones(len(counts)) if objective.mean == "token" else 1.0 / counts
    return np.repeat(one / (objective.over(lengths).divisor or 1.0), counts)


def policy_loss(
    objective: Objective,
    *,
    logprobs: Values,
    old: Values,
    engine: Values,
    advantages: Values,
    weights: Values,
    reference: Values | None = None,
) -> PolicyLoss:
    """The loss of N tokens, and its gradient; sums over parts of a batch add up.

    Args:
        logprobs: (N,) of the policy that learns.
        old: (N,) of the trainer's policy before the batch's first update.
        engine: (N,) of the policy that drew the tokens.
        advantages: (N,) the sample's, for each of its tokens.
        weights: (N,) of `token_weights`.
        reference: (N,) of the weights without adapter; needed where `objective.kl` is not 0.
    """
    ratio = np.exp(logprobs - old)
    importance = np.exp(old - engine)
    capped = importance > objective.importance_cap
    importance = np.minimum(importance, objective.importance_cap)
    bounded = np.clip(ratio, 1 - objective.clip_low, 1 + objective.clip_high)
    clipped = bounded * advantages < ratio * advantages
    gain = importance * np.where(clipped, bounded, ratio) * advantages
    slope = importance * np.where(clipped, 0.0, ratio) * advantages
    kl = np.zeros_like(ratio) if reference is None else k3(logprobs, reference)
    per_token = -gain + objective.kl * kl
    by_logprob = -slope
    if reference is not None:
        by_logprob = by_logprob + objective.kl * (1 - np.exp(reference - logprobs))
    return PolicyLoss(
        value=float((weights * per_token).sum()),
        gradient=weights * by_logprob,
        importance=importance,
        capped=capped,
        kl=kl,
    )


def k3(logprobs: Values, reference: Values) -> Values:
    """Schulman's estimate of KL(p || p_ref) from tokens drawn from p: exp(d) - d - 1, d = log(p_ref / p).

    Unbiased and never negative; (N,) each. See http://joschu.net/blog/kl-approx.html.
    """
    difference = reference - logprobs
    return np.exp(difference) - difference - 1

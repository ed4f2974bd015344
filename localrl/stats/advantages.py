"""Advantages of a group: how much better a sample's reward is than its group's, as GRPO trains on.

A group whose rewards are all equal teaches nothing: its advantages are 0.
"""

from __future__ import annotations

from statistics import fmean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

EPSILON = 1e-6


def has_spread(rewards: Sequence[float]) -> bool:
    return len(rewards) > 1 and max(rewards) > min(rewards)


def standardised(rewards: Sequence[float]) -> list[float]:
    """(r - mean) / (std + 1e-6), with the sample's deviation (n - 1), as verl computes it and TRL nearly so
    (GRPO: Shao et al. 2024, arXiv 2402.03300, section 4.1.2)."""
    if not has_spread(rewards):
        return [0.0] * len(rewards)
    spread = stdev(rewards) + EPSILON
    return [each / spread for each in centred(rewards)]


def centred(rewards: Sequence[float]) -> list[float]:
    """r - mean: all groups have their own weight (Dr. GRPO: Liu et al. 2025, arXiv 2503.20783)."""
    if not has_spread(rewards):
        return [0.0] * len(rewards)
    mean = fmean(rewards)
    return [reward - mean for reward in rewards]

"""Batches for trainers, from a few numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from localrl.stats.advantages import standardised
from localrl.train.batch import Rollout, RolloutGroup, TrainingBatch
from localrl.train.losses import Objective

if TYPE_CHECKING:
    from collections.abc import Sequence


def make_group(
    seed: int, k: int = 4, prompt: int = 7, longest: int = 9, vocabulary: int = 250
) -> RolloutGroup:
    """Random tokens of random lengths; the rewards are 1 and 0 in turns."""
    random = np.random.default_rng(seed)
    rewards = [float(i % 2) for i in range(k)]
    rollouts = []
    for reward, advantage in zip(rewards, standardised(rewards), strict=True):
        count = int(random.integers(1, longest + 1))
        tokens = tuple(int(token) for token in random.integers(0, vocabulary, count))
        logprobs = tuple(float(value) for value in -3 - 3 * random.random(count))
        rollouts.append(Rollout(tokens, logprobs, reward, advantage))
    return RolloutGroup(
        tuple(int(token) for token in random.integers(0, vocabulary, prompt)), tuple(rollouts)
    )


def make_batch(
    groups: int | Sequence[RolloutGroup] = 3,
    objective: Objective | None = None,
    learning_rate: float = 1e-2,
    **more: Any,
) -> TrainingBatch:
    """So many groups, of seeds 0, 1, ..., or these."""
    made = [make_group(seed) for seed in range(groups)] if isinstance(groups, int) else groups
    return TrainingBatch(tuple(made), objective or Objective("token"), learning_rate, **more)

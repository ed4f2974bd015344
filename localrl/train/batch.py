"""What one update learns from: groups of rollouts with their advantages, as token ids and log-probabilities.

A rollout is a sample that is trained on. Its tokens are those that the engine drew, never text that was
tokenised again, and its log-probabilities are the engine's own, of the adapter that drew them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from localrl.errors import LocalrlError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from localrl.train.losses import Objective


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sample of a prompt."""

    tokens: tuple[int, ...]
    """The T generated tokens, thinking and the end token included: to stop is learnt too."""
    logprobs: tuple[float, ...]
    """Of each of the T tokens: the natural log-softmax of the engine's logits at temperature 1."""
    reward: float
    advantage: float = 0.0

    def __post_init__(self) -> None:
        if not self.tokens or len(self.tokens) != len(self.logprobs):
            raise LocalrlError(
                f"a rollout has {len(self.tokens)} tokens and {len(self.logprobs)} log-probabilities"
            )


@dataclass(frozen=True, slots=True)
class RolloutGroup:
    """k rollouts of one prompt; the trainer computes the prompt once."""

    prompt: tuple[int, ...]
    """Its token ids as the engine computed them, at least one."""
    rollouts: tuple[Rollout, ...]


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """All that a step of the trainer depends on, besides its own state."""

    groups: tuple[RolloutGroup, ...]
    objective: Objective
    learning_rate: float
    clip_norm: float = 1.0
    """The gradient's norm is cut to this."""
    updates: int = 1
    """Optimiser steps that the groups are divided among, in their order."""

    @property
    def tokens(self) -> int:
        """Generated tokens of all rollouts."""
        return sum(len(rollout.tokens) for rollout in rollouts_of(self.groups))


def rollouts_of(groups: Iterable[RolloutGroup]) -> list[Rollout]:
    """The rollouts of the groups, in order."""
    return [rollout for group in groups for rollout in group.rollouts]


def engine_logprobs(rollouts: Sequence[Rollout]) -> NDArray[np.float64]:
    """The engine's log-probabilities of all tokens, one rollout after the other."""
    return np.array([value for rollout in rollouts for value in rollout.logprobs])


def token_advantages(rollouts: Sequence[Rollout]) -> NDArray[np.float64]:
    """Each token's advantage: its rollout's."""
    lengths = [len(rollout.tokens) for rollout in rollouts]
    return np.repeat([rollout.advantage for rollout in rollouts], lengths)

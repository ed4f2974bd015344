"""Which tokens a forward pass takes: groups laid flat without padding, each prompt once, in bounded passes.

Of a group [p p p | a a | b b b] the prompt's tokens are computed once, and each rollout's behind them; only
attention knows which belong together. The last token of a rollout is predicted but not computed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from localrl.train.batch import Rollout, RolloutGroup

    Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GroupPlace:
    """Where a group is among the flat tokens of a pass."""

    prompt: slice
    own: slice
    """The rollouts' tokens behind it, one rollout after the other."""
    row: Indices
    column: Indices
    """For each of its own tokens: which rollout it is of, and the how manieth there."""
    shape: tuple[int, int]
    """Rollouts, and computed tokens of the longest."""


@dataclass(frozen=True, slots=True)
class Pass:
    """N computed tokens that predict M drawn ones."""

    tokens: Indices
    """(N,) ids."""
    positions: Indices
    """(N,) each token's in its sequence, from 0."""
    predicting: Indices
    """(M,) the index among the N of the token before each drawn one."""
    targets: Indices
    """(M,) ids of the drawn tokens, one rollout after the other."""
    groups: tuple[GroupPlace, ...]


def cost(prompt: Sequence[int], rollouts: Sequence[Rollout]) -> int:
    """Tokens that a pass computes for a group."""
    return len(prompt) + sum(len(rollout.tokens) - 1 for rollout in rollouts)


def in_passes(groups: Sequence[RolloutGroup], most_tokens: int) -> Iterator[list[RolloutGroup]]:
    """Whole groups and parts of groups, in order, so that no pass computes more than `most_tokens`.

    A single rollout that is longer has a pass of its own.
    """
    taken: list[RolloutGroup] = []
    used = 0
    for group in groups:
        left = list(group.rollouts)
        while left:
            count = _fitting(group.prompt, left, most_tokens - used)
            if not count and taken:
                yield taken
                taken, used = [], 0
                continue
            part = tuple(left[: max(1, count)])
            taken.append(replace(group, rollouts=part))
            used += cost(group.prompt, part)
            left = left[len(part) :]
    if taken:
        yield taken


def _fitting(prompt: Sequence[int], rollouts: Sequence[Rollout], room: int) -> int:
    """How many of the first rollouts fit, with their prompt."""
    ends = np.cumsum([len(prompt), *(len(rollout.tokens) - 1 for rollout in rollouts)])[1:]
    return int(np.searchsorted(ends, room, side="right"))


def lay_out(groups: Sequence[RolloutGroup]) -> Pass:
    """The pass that computes these groups."""
    tokens: list[int] = []
    positions: list[int] = []
    predicting: list[int] = []
    places = []
    for group in groups:
        start, count = len(tokens), len(group.prompt)
        tokens += group.prompt
        positions += range(count)
        row: list[int] = []
        column: list[int] = []
        for index, rollout in enumerate(group.rollouts):
            computed = len(rollout.tokens) - 1
            predicting += [start + count - 1, *range(len(tokens), len(tokens) + computed)]
            tokens += rollout.tokens[:-1]
            positions += range(count, count + computed)
            row += [index] * computed
            column += range(computed)
        shape = (len(group.rollouts), max(len(rollout.tokens) for rollout in group.rollouts) - 1)
        prompt, own = slice(start, start + count), slice(start + count, len(tokens))
        places.append(GroupPlace(prompt, own, np.array(row, int), np.array(column, int), shape))
    targets = [token for group in groups for rollout in group.rollouts for token in rollout.tokens]
    return Pass(
        np.array(tokens, np.int64),
        np.array(positions, np.int64),
        np.array(predicting, np.int64),
        np.array(targets, np.int64),
        tuple(places),
    )

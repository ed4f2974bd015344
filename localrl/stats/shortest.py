"""Shortest-majority vote: answers that were reached in fewer tokens weigh more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from localrl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def shortest_majority_of(
    answers: Sequence[str | None], correct: Sequence[bool], tokens: Sequence[int], j: int
) -> float:
    """The chance that a right answer wins a shortest-majority vote of j samples of one problem.

    A candidate's weight is its number of votes over the logarithm of their mean length (Zeng et al.,
    arXiv 2502.12215, section 5). As in `majority_at`, correct samples are one candidate, wrong ones go by
    their text, samples without an answer abstain, and a tie is worth the right answer's share of it.

    Args:
        answers, correct, tokens: of every sample, its answer, whether it was judged correct, and its length.
        j: the size of the vote. The mean is over the disjoint votes of consecutive samples, which are drawn
            alike, so that it has no bias; what is left of the last samples does not vote.

    Raises:
        UsageError: j is not from 1 to the number of answers.
    """
    if not 1 <= j <= len(answers):
        raise UsageError(f"a vote of {j} does not fit {len(answers)} samples", hint="choose j from 1 to k")
    votes = list(zip(answers, correct, tokens, strict=True))
    starts = range(0, len(votes) - j + 1, j)
    return sum(_won(votes[at : at + j]) for at in starts) / len(starts)


def _won(votes: Sequence[tuple[str | None, bool, int]]) -> float:
    lengths: dict[str | None, list[int]] = {}
    for answer, correct, tokens in votes:
        if correct or answer is not None:
            lengths.setdefault(None if correct else answer, []).append(tokens)
    weights = {candidate: _weight(found) for candidate, found in lengths.items()}
    if None not in weights:
        return 0.0
    top = max(weights.values())
    return 1 / sum(weight == top for weight in weights.values()) if weights[None] == top else 0.0


def _weight(lengths: Sequence[int]) -> float:
    # A mean below e would turn the logarithm's sense around.
    return len(lengths) / math.log(max(math.e, sum(lengths) / len(lengths)))

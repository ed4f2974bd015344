"""Votes among the samples of each problem: what the most say, and what the most say in the fewest tokens."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from localrl import stats

if TYPE_CHECKING:
    from collections.abc import Iterable


class Vote(NamedTuple):
    """One sample's."""

    answer: str | None
    """As it was extracted; None abstains."""
    correct: bool
    tokens: int
    """Generated, thinking included."""


class Votes:
    """Problems are added one by one and not kept: a run may have 100,000."""

    def __init__(self) -> None:
        self._ballots: Counter[stats.Ballots] = Counter()
        self._shortest: defaultdict[int, list[float]] = defaultdict(list)
        """By the size of the vote, each problem's chance that a right answer wins."""

    @property
    def problems(self) -> int:
        return self._ballots.total()

    def add(self, votes: Iterable[Vote]) -> None:
        """Take the votes of one problem."""
        answers, correct, tokens = zip(*votes, strict=True)
        self._ballots[stats.ballots(answers, correct)] += 1
        for j in sizes(len(answers)):
            self._shortest[j].append(stats.shortest_majority_of(answers, correct, tokens, j))

    def majority_at(self, least: int) -> dict[str, float]:
        """majority@j for 2, 4, ... and `least`, the smallest number of samples of a problem."""
        return {str(j): stats.majority_at(self._ballots, j) for j in sizes(least) if self._ballots}

    def shortest_majority_at(self, least: int) -> dict[str, float]:
        """The same of shortest-majority votes, where all problems have one of this size."""
        won = {j: self._shortest[j] for j in sizes(least) if j in self._shortest}
        return {str(j): sum(found) / len(found) for j, found in won.items() if len(found) == self.problems}


def sizes(k: int) -> list[int]:
    """Of the votes among k samples: powers of two, and k. One sample is no vote."""
    return sorted({2**i for i in range(1, k.bit_length())} | {k} - {0, 1})

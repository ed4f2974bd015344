"""pass@j and majority@j from k samples a problem, both without bias for every j up to k."""

from __future__ import annotations

from functools import lru_cache
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from localrl.errors import UsageError
from localrl.stats.intervals import Interval, counts, mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray


def pass_at_problem(n: int, c: int, j: int) -> float:
    """Chance that j of the n samples, drawn without replacement, hold at least one of the c correct ones.

    1 - C(n-c, j)/C(n, j), the unbiased estimator of Chen et al. 2021 (arXiv 2107.03374, eq. 1). Needs
    0 <= c <= n and 1 <= j <= n.
    """
    return 1.0 - comb(n - c, j) / comb(n, j)


def pass_at(n: ArrayLike, c: ArrayLike, j: int) -> float:
    """pass@j over problems: the mean of `pass_at_problem`.

    Args:
        n: samples a problem, shape (problems,).
        c: correct samples a problem, same shape.

    Raises:
        UsageError: j is below 1, or some problem has fewer than j samples.
    """
    return float(_pass_values(n, c, j).mean())


def pass_at_interval(n: ArrayLike, c: ArrayLike, j: int, level: float = 0.95) -> Interval:
    """pass@j with its interval for new problems of this kind: `mean_interval` of the problems' own values.

    Args and errors are those of `pass_at`.
    """
    return mean_interval(_pass_values(n, c, j), level)


def _pass_values(n: ArrayLike, c: ArrayLike, j: int) -> NDArray[np.float64]:
    n, c = counts(n, c)
    _check_j(j, int(n.min()))
    # n and c in one number: sorting numbers is ten times faster than sorting pairs.
    width = int(n.max()) + 1
    pairs, which = np.unique(n * width + c, return_inverse=True)
    values = np.array([pass_at_problem(int(pair) // width, int(pair) % width, j) for pair in pairs])
    return values[which]


Ballots = tuple[int, tuple[int, ...], int]
"""Of one problem: ballots for the right answer, for each wrong one, ascending, and those that abstain."""


def ballots(answers: Sequence[str | None], correct: Sequence[bool]) -> Ballots:
    """What the samples of one problem vote for.

    All answers judged correct are one candidate, since they equal the target and so each other; wrong answers
    are candidates by their text. A vote in which everyone abstains is lost.
    """
    wrong: dict[str, int] = {}
    right = abstain = 0
    for answer, ok in zip(answers, correct, strict=True):
        if ok:
            right += 1
        elif answer is None:
            abstain += 1
        else:
            wrong[answer] = wrong.get(answer, 0) + 1
    return right, tuple(sorted(wrong.values())), abstain


def majority_at(counted: Mapping[Ballots, int], j: int) -> float:
    """majority@j (cons@j): the share of problems whose most frequent answer among j samples is right.

    Args:
        counted: how many problems vote in which way.
        j: the size of the vote, at most the smallest number of samples of a problem.

    The expectation over all C(k, j) votes is computed exactly, and a tie is worth the right answer's share
    of it.

    Raises:
        UsageError: j is below 1, or some problem has fewer than j samples, or there is no problem.
    """
    if not counted:
        raise UsageError("no problem has a sample", hint="run at least one sample")
    _check_j(j, min(right + sum(wrong) + abstain for right, wrong, abstain in counted))
    won = sum(problems * _won(*votes, j) for votes, problems in counted.items())
    return won / sum(counted.values())


def majority_of(answers: Sequence[str | None], correct: Sequence[bool], j: int) -> float:
    """`majority_at` for one problem, from its extracted answers, and whether each was judged correct.

    Raises:
        UsageError: j is not from 1 to the number of answers.
    """
    _check_j(j, len(answers))
    return _won(*ballots(answers, correct), j)


@lru_cache(maxsize=4096)
def _won(right: int, wrong: tuple[int, ...], abstain: int, j: int) -> float:
    """The chance that the right candidate wins a vote of j, from how many ballots each candidate holds."""
    total = right + sum(wrong) + abstain
    if right == 0:
        return 0.0
    if j == total:  # the usual question, and no draw is left to chance
        top = max(wrong, default=0)
        return float(right > top) if right != top else 1 / (1 + wrong.count(top))
    ways = sum(
        comb(right, votes) * _share(wrong, abstain, j - votes, votes) for votes in range(1, min(right, j) + 1)
    )
    return ways / comb(total, j)


def _share(wrong: tuple[int, ...], abstain: int, others: int, votes: int) -> float:
    """Ways to draw `others` ballots among wrong candidates and abstainers so that none has over `votes`.

    A draw in which t candidates have exactly `votes` counts 1/(t + 1). `table[t, m]` counts the draws of m
    ballots with t such ties, one candidate after another (a product of generating functions).
    """
    ties = others // votes
    table = np.zeros((ties + 1, others + 1))
    table[0, : min(abstain, others) + 1] = [comb(abstain, m) for m in range(min(abstain, others) + 1)]
    for size in wrong:
        grown = np.zeros_like(table)
        for drawn in range(min(size, votes, others) + 1):
            shifted = comb(size, drawn) * table[:, : others + 1 - drawn]
            if drawn < votes:
                grown[:, drawn:] += shifted
            else:
                grown[1:, drawn:] += shifted[:-1]
        table = grown
    return float((table[:, others] / np.arange(1, ties + 2)).sum())


def _check_j(j: int, smallest: int) -> None:
    if not 1 <= j <= smallest:
        raise UsageError(
            f"a draw of {j} does not fit {smallest} samples a problem", hint="choose j from 1 to k"
        )

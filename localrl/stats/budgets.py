"""Accuracy over thinking budgets: what each budget gains, the area below the curve, and where tokens pay.

A budget is a number of thinking tokens after which a sample has to answer. The same samples answer at every
budget, so budgets are compared problem by problem.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from localrl.errors import UsageError
from localrl.stats.intervals import Interval, mean_interval
from localrl.stats.paired import compare
from localrl.stats.rates import per

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


def paired_gain(
    n: ArrayLike, c: ArrayLike, n_before: ArrayLike, c_before: ArrayLike, level: float = 0.95
) -> Interval | None:
    """The accuracy minus the one before, over the problems that have both; None below two of them.

    Args:
        n, c: samples and correct samples a problem, shape (problems,); 0 where a problem has none.
        n_before, c_before: the same of the budget before.
    """
    n, c, n_before, c_before = (np.asarray(a, dtype=np.int64) for a in (n, c, n_before, c_before))
    both = (n > 0) & (n_before > 0)
    if both.sum() < 2:
        return None
    return compare(n[both], c[both], n_before[both], c_before[both], level).difference


def log2_area(budgets: Sequence[int], n: ArrayLike, c: ArrayLike, level: float = 0.95) -> Interval | None:
    """The mean accuracy over log2 of the budget: trapezoids over the grid, divided by its length.

    The area below the curve is what anytime reasoning is trained on (arXiv 2505.13438). A problem's area is a
    weighted mean of its shares, so its interval is that of any mean over problems.

    Args:
        budgets: ascending, at least two, else None.
        n, c: samples and correct samples, shape (budgets, problems); problems without a sample at some budget
            are left out.
    """
    n, c = np.asarray(n, dtype=np.int64), np.asarray(c, dtype=np.int64)
    known = (n > 0).all(axis=0)
    if len(budgets) < 2 or not known.any():
        return None
    widths = np.diff(np.log2(np.asarray(budgets, dtype=float)))
    shares = c[:, known] / n[:, known]
    areas = widths @ (shares[1:] + shares[:-1]) / (2 * widths.sum())
    return mean_interval(np.clip(areas, 0.0, 1.0), level, k=1 / float((1 / n[:, known]).mean()))


class Spending(NamedTuple):
    """A way to spend tokens on a problem: samples that think up to a budget, and a vote among them."""

    budget: int | None
    """None lets a sample think as long as it wants."""
    samples: int
    """How many vote; one is no vote."""
    tokens: float
    """Generated for a problem by all its samples, thinking and answers."""
    accuracy: float


def frontier(ways: Sequence[Spending]) -> list[bool]:
    """For each way whether none gets as much for fewer tokens, or more for as many."""
    order = sorted(range(len(ways)), key=lambda i: (ways[i].tokens, -ways[i].accuracy))
    best, found = -1.0, [False] * len(ways)
    for i in order:
        if ways[i].accuracy > best:
            best, found[i] = ways[i].accuracy, True
    return found


@dataclass(frozen=True, slots=True)
class Further:
    """What 1,000 more tokens a problem bring from one sample at a budget, as a difference of accuracy."""

    budget: int
    thinking: float | None
    """By thinking on to the next budget."""
    voting: float | None
    """By more samples and a vote, at this budget; the best number of them."""


def further(ways: Sequence[Spending]) -> list[Further]:
    """Where a further token is better spent, at each budget but the last way to think.

    Args:
        ways: what each budget costs and scores with one sample, and with votes.
    """
    thinking = sorted((way for way in ways if way.samples == 1), key=lambda way: way.tokens)
    found = []
    for here, longer in pairwise(thinking):
        if here.budget is None:
            continue
        votes = [_slope(here, way) for way in ways if way.budget == here.budget and way.samples > 1]
        rates = [rate for rate in votes if rate is not None]
        found.append(Further(here.budget, _slope(here, longer), max(rates, default=None)))
    return found


def _slope(before: Spending, after: Spending) -> float | None:
    return per(after.accuracy - before.accuracy, after.tokens - before.tokens, 1000)


def stopped_when_sure(answers: Sequence[str | None], streak: int) -> int | None:
    """Which of a sample's probes stops it: the first that ends `streak` equal answers; None if none does.

    Args:
        answers: what the probes answered, in the order of their budgets; None where one gave no answer.
        streak: equal answers in a row that are enough.

    Raises:
        UsageError: the streak is below 1.
    """
    if streak < 1:
        raise UsageError(f"a streak of {streak} answers is none", hint="ask for one or more")
    equal = 0
    for i, answer in enumerate(answers):
        equal = 0 if answer is None else equal + 1 if i and answer == answers[i - 1] else 1
        if equal >= streak:
            return i
    return None

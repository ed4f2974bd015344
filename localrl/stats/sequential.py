"""Intervals that stay valid however often one looks: for stopping a run once it is precise or settled.

An ordinary 95 % interval looked at after every problem misses the truth far more often than 1 time in 20. A
*confidence sequence* misses at *any* of its looks at most 1 time in 20. Three are here:

- `mean_sequence`: the mean of values in [0, 1], one a problem, by betting (Waudby-Smith and Ramdas 2024,
  JRSS-B 86:1, arXiv 2010.09686). For each candidate mean m a gambler bets against it; m is out once the
  fortune passes 2/alpha (Ville's inequality). The fortune is a mixture over fixed fractions: nothing to tune.
- `difference_sequence`: the same for differences in [-1, 1] between two runs on shared problems.
- `repeat_sequence`: the mean over *these* problems as rounds of samples come in, by the empirical Bernstein
  supermartingale (Howard et al. 2021, Ann. Stat. 49:1055, theorem 4), which needs no equal chances.

Values must come in an order fixed before the run (a seeded shuffle): problems that *finish* first are short,
and short ones are easy. Feed the finished prefix of the planned order, nothing after its first gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from localrl.errors import UsageError
from localrl.stats.intervals import Interval, check_level

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

_BETS = np.geomspace(0.004, 0.9, 24)
"""Shares of the fortune that are bet, all with the same weight: small ones win late, large ones early."""
_STEPS = 30  # halvings of [0, 1] when a limit is searched: far finer than any number shown


def mean_sequence(values: ArrayLike, level: float = 0.95, population: int | None = None) -> Interval:
    """The mean's interval after these values, valid at every look.

    Args:
        values: one value in [0, 1] a problem, such as its share of correct samples, in the planned order.
        population: how many problems the eval has, when the question is what all of *them* would score and
            the order is a random one; None asks about problems of the kind.

    Raises:
        UsageError: no values, one outside [0, 1], or more than the population has.
    """
    x = _unit(values)
    if population is None:
        low, high, method = 0.0, 1.0, "betting"
    else:
        if x.size > population:
            raise UsageError(f"{x.size} values from a population of {population}")
        method = "betting-without-replacement"
        low = float(x.sum()) / population
        high = low + (population - x.size) / population
    limit = float(np.log(2 / (1 - check_level(level))))
    mean = float(x.mean())
    exceeds, falls_short = _fortune(x, population), _fortune(1 - x, population)
    below = _search(lambda m: exceeds(m) < limit, low, mean)
    above = 1 - _search(lambda m: falls_short(m) < limit, 1 - high, 1 - mean)
    return Interval(mean, min(below, mean), max(above, mean), level, method)


@dataclass(frozen=True, slots=True)
class Decision:
    """How a comparison stands after a look."""

    difference: Interval
    e_value: float
    """Evidence against "no difference": by chance alone it ever reaches x with probability at most 1/x."""
    verdict: Literal["better", "worse", "equivalent", "undecided"]
    """What the first run is; "equivalent" when the whole interval lies within the margin."""

    @property
    def settled(self) -> bool:
        return self.verdict != "undecided"


def difference_sequence(
    differences: ArrayLike, level: float = 0.95, margin: float = 0.0, population: int | None = None
) -> Decision:
    """Whether one run is better than another, valid at every look.

    Args:
        differences: a's share of correct samples minus b's, one a shared problem, in the planned order.
        margin: differences up to this size do not matter; 0 never says "equivalent".
        population: as in `mean_sequence`.

    Raises:
        UsageError: no differences, one outside [-1, 1], or more than the population has.
    """
    d = np.asarray(differences, dtype=float)
    unit = mean_sequence((d + 1) / 2, level, population)
    interval = Interval(
        2 * unit.value - 1, 2 * unit.low - 1, 2 * unit.high - 1, level, f"{unit.method}-paired"
    )
    x = (d + 1) / 2
    with np.errstate(over="ignore"):
        both = np.logaddexp(_fortune(x, population)(0.5), _fortune(1 - x, population)(0.5))
        e_value = float(np.exp(both) / 2)
    verdict: Literal["better", "worse", "equivalent", "undecided"] = "undecided"
    if interval.low > 0:
        verdict = "better"
    elif interval.high < 0:
        verdict = "worse"
    elif margin and -margin <= interval.low and interval.high <= margin:
        verdict = "equivalent"
    return Decision(interval, e_value, verdict)


def repeat_sequence(outcomes: ArrayLike, level: float = 0.95) -> Interval:
    """avg@k's interval on these very problems after k rounds, valid at every round.

    Args:
        outcomes: right or not, shape (problems, rounds): whole rounds, one sample a problem each.

    A problem's next sample is predicted from its earlier ones, and only the misses widen the interval, so
    problems that always succeed or always fail cost next to nothing.

    Raises:
        UsageError: there is no whole round, or a value is not 0 or 1.
    """
    x = np.asarray(outcomes, dtype=float)
    if x.ndim != 2 or x.size == 0 or not np.isin(x, (0.0, 1.0)).all():
        raise UsageError("outcomes must be whole rounds of 0 and 1, one sample a problem each")
    before = np.cumsum(x, axis=1) - x
    predicted = (before + 0.5) / (np.arange(x.shape[1]) + 1.0)
    misses = float(np.square(x - predicted).sum())
    mean = float(x.mean())
    cost = (-np.log1p(-_BETS) - _BETS) * misses
    limit = float(np.log(2 / (1 - check_level(level))))

    gap = 1 - _search(lambda m: _log_mean(_BETS * (1 - m) * x.size - cost) < limit, 0.0, 1.0)
    low, high = max(0.0, mean - gap), min(1.0, mean + gap)
    return Interval(mean, low, high, level, "empirical-bernstein-sequence")


def _fortune(x: NDArray[np.float64], population: int | None) -> Callable[[float], float]:
    """The logarithm of the fortune after betting on x that the mean exceeds m, as a function of m."""
    return _fortune_of_many(x) if population is None else _fortune_without_replacement(x, population)


def _fortune_of_many(x: NDArray[np.float64]) -> Callable[[float], float]:
    """Problems drawn from many."""
    value, count = np.unique(x, return_counts=True)

    def fortune(m: float) -> float:
        if m <= 0:
            return 0.0 if not x.any() else float("inf")
        return _log_mean(np.log1p(np.outer(_BETS, value / m - 1)) @ count)

    return fortune


def _fortune_without_replacement(x: NDArray[np.float64], population: int) -> Callable[[float], float]:
    """x are the first of `population` problems in random order: what is left must average to the total that m
    implies, so the null mean moves with each problem (Waudby-Smith and Ramdas, section 5).
    """
    seen = np.concatenate([[0.0], np.cumsum(x)[:-1]])
    left = population - np.arange(x.size)

    def fortune(m: float) -> float:
        null = (population * m - seen) / left
        if np.any(null < -1e-12) or (null[-1] <= 0 and x[-1] > 0):
            return float("inf")
        # A null mean of 1 or more leaves nothing to win above it, and a null of 0 allows only zeros.
        ratio = np.divide(x, null, out=np.ones_like(x), where=null > 1e-12)
        return _log_mean(np.log1p(np.outer(_BETS, ratio - 1)).sum(axis=1))

    return fortune


def _log_mean(logs: NDArray[np.float64]) -> float:
    top = float(logs.max())
    return top + float(np.log(np.exp(logs - top).mean()))


def _search(plausible: Callable[[float], bool], low: float, high: float) -> float:
    """The border between implausible (below) and plausible means in [low, high], on the implausible side."""
    if plausible(low):
        return low
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if plausible(middle):
            high = middle
        else:
            low = middle
    return low


def _unit(values: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(values, dtype=float)
    if x.size == 0 or not np.all((x >= 0) & (x <= 1)):
        raise UsageError("a sequence needs at least one value, all of them in [0, 1]")
    return x

"""Two runs on the same problems: their difference, problem by problem, is far steadier than either score.

The interval is Student's on the problems' differences (paired and clustered: Miller, arXiv 2411.00640,
section 4.2) with a pinch of pseudo-evidence, which generalises Agresti and Min (2005, Stat. Med. 24:729) from
one sample a problem to k. At 30 problems it covers what a percentile bootstrap does not (docs/statistics.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from localrl.errors import UsageError
from localrl.stats.intervals import Interval, check_level, repeatability, student_quantile

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_PSEUDO = 0.25
"""Weight of a pseudo-problem won by one sample, and of one lost by one: that few problems hold no flip does
not prove that there are none."""


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """Run a against run b on the problems that both answered."""

    problems: int
    difference: Interval
    """a's accuracy minus b's, for new problems of this kind."""
    same_problems: Interval
    """The same for these problems, if both runs were repeated."""
    p_better: float
    """P(A > B): how likely a is the better one on problems of this kind."""
    mcnemar: float | None
    """Exact two-sided p-value; None unless both runs have one sample a problem."""
    won: int
    """Problems that a answers right more often than b."""
    lost: int
    correlation: float | None
    """Of the two runs' shares of correct samples over problems; None where one of them is constant."""


def compare(
    n_a: ArrayLike, c_a: ArrayLike, n_b: ArrayLike, c_b: ArrayLike, level: float = 0.95
) -> PairedComparison:
    """Compare two runs on shared problems.

    Args:
        n_a, c_a: run a's samples and correct samples a problem, shape (problems,).
        n_b, c_b: run b's, for the same problems in the same order.
        level: of the intervals, in (0, 1).

    Raises:
        UsageError: shapes differ, a problem has no sample in one run, or there are fewer than 2 problems.
    """
    from scipy.special import stdtr

    (na, ca), (nb, cb) = _pair(n_a, c_a), _pair(n_b, c_b)
    if na.shape != nb.shape or na.size < 2:
        raise UsageError("a comparison needs at least two problems that both runs answered")
    x, y = ca / na, cb / nb
    d = x - y
    mean, error = _mean_and_error(d, 2 / (1 / na.mean() + 1 / nb.mean()))
    half = student_quantile(level, d.size - 1) * error
    difference = _clipped(mean, half, level, "paired-student")
    single = bool(na.max() == nb.max() == 1)
    won, lost = int((d > 0).sum()), int((d < 0).sum())
    return PairedComparison(
        problems=d.size,
        difference=difference,
        same_problems=_same_problems(na, ca, nb, cb, difference),
        p_better=float(stdtr(d.size - 1, mean / error)),
        mcnemar=mcnemar(won, lost) if single else None,
        won=won,
        lost=lost,
        correlation=float(np.corrcoef(x, y)[0, 1]) if x.std() > 0 and y.std() > 0 else None,
    )


def mcnemar(only_a: int, only_b: int) -> float:
    """McNemar's exact two-sided test: are problems that only a solved as many as those that only b solved?

    The p-value of `only_a` successes in only_a + only_b fair coin tosses: twice the smaller tail (McNemar
    1947, Psychometrika 12:153, in its exact form).
    """
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def holm(p_values: list[float]) -> list[float]:
    """p-values adjusted for being several, in the order given (Holm 1979, Scand. J. Stat. 6:65).

    Each is the largest so far of p times the number of hypotheses left, at most 1, from the smallest p on.
    """
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, p_values[i] * (len(p_values) - rank)))
        adjusted[i] = running
    return adjusted


def _mean_and_error(d: NDArray[np.float64], k: float) -> tuple[float, float]:
    """The mean difference and its standard error, with a difference of one sample in k as pseudo-evidence,
    which keeps the error above 0 where every problem differs alike."""
    total = d.size + 2 * _PSEUDO
    square = (float(np.square(d).sum()) + 2 * _PSEUDO / k**2) / total
    variance = square - (float(d.sum()) / total) ** 2
    return float(d.mean()), float(np.sqrt(variance / (d.size - 1)))


def _same_problems(
    na: NDArray[np.int64],
    ca: NDArray[np.int64],
    nb: NDArray[np.int64],
    cb: NDArray[np.int64],
    new_problems: Interval,
) -> Interval:
    """The difference's interval from the spread of samples alone: Newcombe's hybrid of both runs' own
    intervals (1998, Stat. Med. 17:873, method 10). With one sample a problem that spread is unknown, and the
    interval for new problems, which is never the narrower one, stands in."""
    if na.min() == 1 or nb.min() == 1:
        return replace(new_problems, method="paired-student-bound")
    a, b = (repeatability(n, c, new_problems.level) for n, c in ((na, ca), (nb, cb)))
    mean = new_problems.value
    low = mean - math.hypot(a.value - a.low, b.high - b.value)
    high = mean + math.hypot(a.high - a.value, b.value - b.low)
    return Interval(
        mean, max(low, new_problems.low), min(high, new_problems.high), new_problems.level, "paired-within"
    )


def _pair(n: ArrayLike, c: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    n, c = np.asarray(n, dtype=np.int64), np.asarray(c, dtype=np.int64)
    if n.ndim != 1 or n.shape != c.shape or np.any(n < 1) or np.any(c < 0) or np.any(c > n):
        raise UsageError(
            "every compared problem needs samples, and correct counts between 0 and their number"
        )
    return n, c


def _clipped(mean: float, half: float, level: float, method: str) -> Interval:
    return Interval(mean, max(-1.0, mean - half), min(1.0, mean + half), check_level(level), method)

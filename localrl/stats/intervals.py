"""Intervals for the accuracy of one run: avg@k over problems, in two meanings.

*Repeatability*: the same problems, other samples. The spread is that of k draws a problem.
*Generalisation*: other problems of the same kind. The spread is that of problems, and samples of one problem
count as one cluster (Miller, arXiv 2411.00640).

Both are Wilson intervals with an effective sample size, the way surveys treat clustered proportions (Korn and
Graubard 1998; Dean and Pagano 2015, J. Surv. Stat. Methodol. 3:484): at 30 problems, and near 0 or 1, the
normal interval covers too little (Bowyer et al., arXiv 2503.01747), and this one does not.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from localrl.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_PSEUDO = 0.4
"""Weight of the pseudo-problem at 0 and of the one at 1 when the spread between problems is estimated: 30
problems often miss the rare hard one. It is taken times 1 - 1/k, since the draws of small groups spread the
shares already. Chosen by simulation, see docs/statistics.md."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and what it may plausibly be: `low <= value <= high` at confidence `level`."""

    value: float
    low: float
    high: float
    level: float
    method: str
    """The method's name, for the report."""

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2

    @property
    def standard_error(self) -> float:
        """Of a symmetric normal interval this wide, for formats that have no field for an interval."""
        return self.half_width / normal_quantile(self.level)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def wilson(correct: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval for `correct` out of `n` independent trials (Wilson 1927, JASA 22:209).

    Raises:
        UsageError: n is 0, correct is not in 0..n, or level is not in (0, 1).
    """
    if n < 1 or not 0 <= correct <= n:
        raise UsageError(f"{correct} correct of {n} is no proportion")
    low, high = _wilson(correct / n, n, normal_quantile(level))
    return Interval(correct / n, low, high, level, "wilson")


def generalisation(n: ArrayLike, c: ArrayLike, level: float = 0.95) -> Interval:
    """avg@k with the interval for new problems of this kind.

    Args:
        n: samples a problem, shape (problems,); problems without samples are left out.
        c: correct samples a problem, same shape.

    With one sample a problem this is Wilson's interval; else `mean_interval` of the problems' shares.

    Raises:
        UsageError: no problem has a sample, or some c is not in 0..n.
    """
    n, c = counts(n, c)
    if n.max() == 1:
        return wilson(int(c.sum()), len(n), level)
    return mean_interval(c / n, level, k=1 / float((1 / n).mean()))


def mean_interval(values: ArrayLike, level: float = 0.95, k: float = math.inf) -> Interval:
    """The mean of independent values in [0, 1], one a problem, with an interval for their population's mean.

    Args:
        values: shape (problems,).
        k: how many samples a value is the mean of; infinite for values without noise of their own.

    The values' variance, compared with the largest variance that their mean allows, m(1 - m), says how many
    yes/no trials the values are worth; that effective size goes into Wilson's formula with Student's
    quantile.

    Raises:
        UsageError: there are no values, or one lies outside [0, 1].
    """
    x = np.asarray(values, dtype=float)
    if x.size == 0 or not np.all((x >= 0) & (x <= 1)):
        raise UsageError("an interval needs at least one value, all of them in [0, 1]")
    mean = float(x.mean())
    return proportion_interval(mean, np.square(x - mean), level, k)


def proportion_interval(share: float, squares: NDArray[np.float64], level: float, k: float) -> Interval:
    """Wilson's interval for a share whose error is the mean of independent residuals, one a problem.

    Args:
        share: the estimate, in [0, 1].
        squares: the squared residuals, scaled so that a yes/no problem's mean square is share(1 - share).
        k: samples a problem.

    The residuals' mean square is shrunk towards a pseudo-problem at 0 and one at 1 (`_PSEUDO`), the effective
    size is that of Korn and Graubard 1998, and the interval never wider than of one yes/no trial a problem.
    """
    size = len(squares)
    if size == 1:
        low, high = _wilson(share, 1, normal_quantile(level))
        return Interval(share, low, high, level, "wilson-effective")
    weight = _PSEUDO * (1 - 1 / k)
    total = size + 2 * weight
    centre = (size * share + weight) / total
    variance = (float(squares.sum()) + weight * (share**2 + (1 - share) ** 2)) / total
    effective = max(size, centre * (1 - centre) / variance * size) if variance > 0 else size
    low, high = _wilson(share, effective, student_quantile(level, size - 1))
    # A value in [0, 1] is worth at least one yes/no trial, whose spread needs no estimate.
    least, most = _wilson(share, size, normal_quantile(level))
    return Interval(share, max(low, least), min(high, most), level, "wilson-effective")


def repeatability(n: ArrayLike, c: ArrayLike, level: float = 0.95) -> Interval:
    """avg@k with the interval for another run on the very same problems.

    Args:
        n: samples a problem, shape (problems,); problems without samples are left out.
        c: correct samples a problem, same shape.

    The variance is the sum of the problems' own unbiased binomial variances, p(1 - p)/n each. With one sample
    a problem (or when no problem's samples differ) it cannot be estimated, and the plain Wilson interval over
    all samples is its upper bound (Hoeffding 1956: unequal p only make the sum less variable); `method` is
    then "wilson-bound".

    Raises:
        UsageError: no problem has a sample, or some c is not in 0..n.
    """
    n, c = counts(n, c)
    mean, problems = float((c / n).mean()), len(n)
    known = n > 1
    spread = c[known] * (n[known] - c[known]) / (n[known] * (n[known] - 1.0))
    bound = problems**2 / float((1 / n).sum())
    quantile = normal_quantile(level)
    if not spread.any():
        low, high = _wilson(mean, bound, quantile)
        return Interval(mean, low, high, level, "wilson-bound")
    within = np.full(problems, spread.mean())
    within[known] = spread
    # A problem or less of the largest possible spread: few uncertain problems carry all the variance, and
    # some of them look certain by luck, the more so the fewer samples they have.
    share = float((1 / n).mean())
    extra = (0.5 + share) * mean * (1 - mean) * share
    variance = (float((within / n).sum()) + extra) / problems**2
    low, high = _wilson(mean, max(bound, mean * (1 - mean) / variance), quantile)
    return Interval(mean, low, high, level, "wilson-within")


def counts(n: ArrayLike, c: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Check per-problem sample and success counts, and drop problems without samples.

    Raises:
        UsageError: shapes differ, no problem has a sample, or some c is not in 0..n.
    """
    n, c = np.asarray(n, dtype=np.int64), np.asarray(c, dtype=np.int64)
    if n.shape != c.shape or n.ndim != 1 or np.any(c < 0) or np.any(c > n):
        raise UsageError("correct counts must lie between 0 and the sample counts, problem by problem")
    if not n.any():
        raise UsageError("no problem has a sample", hint="run at least one sample")
    return n[n > 0], c[n > 0]


def _wilson(p: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's limits for share `p` of `n` trials, which need not be a whole number."""
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    # Rounding must not push the limit past the value itself at 0 and 1.
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


def check_level(level: float) -> float:
    """The level itself, if it is one.

    Raises:
        UsageError: it is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise UsageError(f"a confidence level lies between 0 and 1, not {level}")
    return level


def normal_quantile(level: float) -> float:
    """The two-sided quantile of the standard normal: 1.96 at level 0.95.

    Raises:
        UsageError: the level is not between 0 and 1.
    """
    check_level(level)
    return NormalDist().inv_cdf((1 + level) / 2)


def student_quantile(level: float, df: int) -> float:
    """The two-sided quantile of Student's t with `df` degrees of freedom, from 1.

    From 200 degrees of freedom on by its expansion about the normal quantile (Abramowitz and Stegun 26.7.5),
    which is exact to 2e-8: loading scipy takes longer than all else that a report of such a run computes.
    """
    z = normal_quantile(level)
    if df >= 200:
        terms = (
            z,
            (z**3 + z) / 4,
            (5 * z**5 + 16 * z**3 + 3 * z) / 96,
            (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        )
        return sum((term / df**power for power, term in enumerate(terms)), 0.0)
    from scipy.special import stdtrit

    return float(stdtrit(df, (1 + level) / 2))

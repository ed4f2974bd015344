"""What else counts say: completed samples only, doubtful verdicts, detectable differences, rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from localrl.errors import UsageError
from localrl.stats.intervals import Interval, normal_quantile, proportion_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class Completed:
    """Accuracy among the samples that ended on their own, and how many did not."""

    accuracy: Interval | None
    """None when no sample ended on its own."""
    cut_share: float
    """The share of samples that were cut off or stopped, in [0, 1]: what `accuracy` is silent about."""


def completed_accuracy(n: ArrayLike, completed: ArrayLike, c: ArrayLike, level: float = 0.95) -> Completed:
    """Right answers per completed sample, clustered by problem.

    Args:
        n: samples a problem, shape (problems,).
        completed: those that ended on their own (neither truncated nor looped nor lost by the engine).
        c: correct ones among the completed; all three have shape (problems,).

    A ratio of two sums over problems; its variance is the linearised one (Cochran 1977, Sampling Techniques,
    6.5), which goes into Wilson's formula as an effective sample size.

    Raises:
        UsageError: no samples, or counts that do not nest.
    """
    n, completed, c = (np.asarray(a, dtype=np.int64) for a in (n, completed, c))
    if np.any(c < 0) or np.any(c > completed) or np.any(completed > n) or not n.any():
        raise UsageError("correct samples must be among the completed, and those among all samples")
    cut = 1 - float(completed.sum() / n.sum())
    known = completed > 0
    m, x = completed[known], c[known]
    if not m.size:
        return Completed(None, cut)
    ratio = float(x.sum() / m.sum())
    # The residual's mean square relative to binary problems of equal size, as in `mean_interval`.
    residual = (x - ratio * m) / m.mean()
    return Completed(proportion_interval(ratio, np.square(residual), level, k=1 / float((1 / m).mean())), cut)


def verifier_bounds(n: ArrayLike, c: ArrayLike, errors: ArrayLike) -> tuple[float, float]:
    """avg@k if every sample that the verifier failed on were wrong, and if every one were right.

    Args:
        n: samples a problem, shape (problems,); problems without samples are left out.
        c: correct samples; errors: samples with verdict `verifier_error` or `verifier_timeout`.

    Raises:
        UsageError: no samples, or correct and failed ones are more than all.
    """
    n, c, errors = (np.asarray(a, dtype=np.int64) for a in (n, c, errors))
    if np.any(c + errors > n) or np.any(c < 0) or np.any(errors < 0) or not n.any():
        raise UsageError("correct and failed samples cannot be more than all samples")
    some = n > 0
    return float((c[some] / n[some]).mean()), float(((c + errors)[some] / n[some]).mean())


@dataclass(frozen=True, slots=True)
class Spread:
    """How sample outcomes vary: between problems, and within one problem from draw to draw."""

    between: float
    """Variance of the problems' chances of success."""
    within: float
    """Mean variance of one sample of a problem, p(1 - p)."""


def spread(mean: float = 0.5, icc: float = 0.5) -> Spread:
    """A guess before anything has run: variance m(1 - m), of which the share `icc` lies between problems.

    Args:
        mean: the accuracy, in [0, 1].
        icc: the intraclass correlation, in [0, 1].
    """
    return Spread(icc * mean * (1 - mean), (1 - icc) * mean * (1 - mean))


def detectable_difference(
    problems: int,
    k: int,
    assumed: Spread | None = None,
    *,
    correlation: float = 0.5,
    same_problems: bool = False,
    level: float = 0.95,
    power: float = 0.8,
) -> float:
    """The smallest true difference that a paired comparison of two runs of this size finds with this power.

    (z_level + z_power) · sqrt((w² + 2 s²/k) / n), with w² = 2 (1 - correlation) · between and s² = within:
    Miller, arXiv 2411.00640, section 5. On the same problems the problems' own spread w² falls away.

    Args:
        problems: n, how many problems both runs answer.
        k: samples a problem, in both runs.
        assumed: the spread; by default a model that is right half the time.
        correlation: of the two models' chances over problems.

    Raises:
        UsageError: no problems or no samples.
    """
    if problems < 1 or k < 1:
        raise UsageError("a detectable difference needs at least one problem and one sample")
    assumed = assumed or spread()
    between = 0.0 if same_problems else 2 * (1 - correlation) * assumed.between
    z = normal_quantile(level) + normal_quantile(2 * power - 1)
    return float(min(1.0, z * ((between + 2 * assumed.within / k) / problems) ** 0.5))


def per(count: float, amount: float | None, unit: float = 1.0) -> float | None:
    """What one has per `unit` of something spent: right answers per hour with seconds and 3600, per kilojoule
    with joules and 1000. None where the amount is unknown or nothing."""
    return count * unit / amount if amount else None

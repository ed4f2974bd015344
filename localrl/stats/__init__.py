"""What a number of a benchmark is worth: intervals, pass@k, comparison, and stopping early honestly.

Everything here works on plain arrays, knows nothing of runs or stores, and draws no random number. Which
method is used where, why, and how often its intervals cover is in docs/statistics.md.
"""

from localrl.stats.budgets import (
    Further,
    Spending,
    frontier,
    further,
    log2_area,
    paired_gain,
    stopped_when_sure,
)
from localrl.stats.intervals import Interval, generalisation, mean_interval, repeatability, wilson
from localrl.stats.paired import PairedComparison, compare, holm, mcnemar
from localrl.stats.passk import (
    Ballots,
    ballots,
    majority_at,
    majority_of,
    pass_at,
    pass_at_interval,
    pass_at_problem,
)
from localrl.stats.rates import (
    Completed,
    Spread,
    completed_accuracy,
    detectable_difference,
    per,
    spread,
    verifier_bounds,
)
from localrl.stats.sequential import Decision, difference_sequence, mean_sequence, repeat_sequence
from localrl.stats.shortest import shortest_majority_of

__all__ = [
    "Ballots",
    "Completed",
    "Decision",
    "Further",
    "Interval",
    "PairedComparison",
    "Spending",
    "Spread",
    "ballots",
    "compare",
    "completed_accuracy",
    "detectable_difference",
    "difference_sequence",
    "frontier",
    "further",
    "generalisation",
    "holm",
    "log2_area",
    "majority_at",
    "majority_of",
    "mcnemar",
    "mean_interval",
    "mean_sequence",
    "paired_gain",
    "pass_at",
    "pass_at_interval",
    "pass_at_problem",
    "per",
    "repeat_sequence",
    "repeatability",
    "shortest_majority_of",
    "spread",
    "stopped_when_sure",
    "verifier_bounds",
    "wilson",
]

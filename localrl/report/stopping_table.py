"""What stopping when sure would have saved and lost, told by a run with budgets before it is trusted.

The forks at the budgets stand in for probes. In-sample: the answers that the rule looks at are those that it
is judged by, so a rule that was chosen by this table will do a little worse on other samples.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from localrl import stats
from localrl.report.metrics import LEVEL
from localrl.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from localrl.store.aggregates import SampleAnswer
    from localrl.store.forks import BudgetAnswer

STREAKS = (2, 3, 4)
"""Equal answers in a row after which a sample may stop."""


def make(
    answers: Iterable[BudgetAnswer], own: Mapping[tuple[int, int], SampleAnswer]
) -> list[dict[str, Any]]:
    """One entry for each number of equal answers that some sample could give.

    Args:
        answers: sample by sample, budgets ascending.
        own: what the samples answered that thought on, by problem and sample.
    """
    samples = [
        (own[place], [answer for answer in group if answer.forced])
        for place, group in groupby(answers, key=lambda answer: (answer.problem, answer.sample))
        if place in own
    ]
    most = max((len(probes) for _, probes in samples), default=0)
    return [_entry(samples, streak) for streak in STREAKS if streak <= most]


def _entry(samples: Sequence[tuple[SampleAnswer, Sequence[BudgetAnswer]]], streak: int) -> dict[str, Any]:
    """Tokens are those of the thinking, the answer and all probes until the stop."""
    correct: dict[int, list[tuple[bool, bool]]] = defaultdict(list)
    stopped = tokens = 0
    for sample, probes in samples:
        at = stats.stopped_when_sure([probe.extracted for probe in probes], streak)
        right = sample.outcome == Outcome.CORRECT
        ruled, spent, asked = right, sample.tokens, probes
        if at is not None:
            ruled, spent, asked = probes[at].correct, probes[at].thinking_tokens, probes[: at + 1]
        stopped += at is not None
        tokens += spent + sum(probe.answer_tokens for probe in asked)
        correct[sample.problem].append((ruled, right))
    n = [len(found) for found in correct.values()]
    by_rule, by_own = ([sum(pair[i] for pair in found) for found in correct.values()] for i in (0, 1))
    difference = stats.paired_gain(n, by_rule, n, by_own, LEVEL)
    without = sum(sample.tokens for sample, _ in samples)
    return {
        "answers": streak,
        "stopped": stopped / len(samples),
        "accuracy": stats.generalisation(n, by_rule, LEVEL).as_dict(),
        "difference": difference and difference.as_dict(),
        "tokens_per_sample": tokens / len(samples),
        "saved": 1 - tokens / without if without else 0.0,
        "in_sample": True,
    }

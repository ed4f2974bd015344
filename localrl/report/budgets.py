"""What a run scores at each thinking budget: the curve, what it costs, and where a further token pays.

Everything returned is JSON values as docs/report.md describes them; docs/budgets.md says what they mean.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from localrl import stats
from localrl.report import stopping_table
from localrl.report.metrics import LEVEL, powers
from localrl.report.votes import Vote, Votes
from localrl.store import aggregates, forks
from localrl.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from localrl.store.forks import BudgetAnswer, BudgetCounts, BudgetTotals
    from localrl.store.runs import Run, Store


@dataclass(frozen=True, slots=True)
class Rates:
    """What this run took, to say what one at another budget would take."""

    decode_tokens_per_s: float | None
    prefill_s: float
    """For a sample."""

    def correct_per_hour(self, accuracy: float, tokens: float) -> float | None:
        """Right answers an hour, where a sample takes so many generated tokens."""
        if not self.decode_tokens_per_s:
            return None
        return stats.per(accuracy, tokens / self.decode_tokens_per_s + self.prefill_s, 3600)


@dataclass(frozen=True, slots=True)
class Curve:
    """What the store has of one eval at its budgets, and of the samples that thought on."""

    totals: Mapping[int, BudgetTotals]
    counts: Mapping[int, Mapping[int, BudgetCounts]]
    votes: Mapping[int, Votes]
    own: Mapping[int, tuple[int, int]]
    """Judged samples and correct ones by problem (its key), at no budget."""
    stop_when_sure: list[dict[str, Any]]


def read(store: Store, run: Run, index: int, most: int) -> Curve | None:
    """The curve of one eval; None where the run has none.

    Args:
        most: about so many samples' answers are looked at, of problems drawn by chance where there are more.
    """
    if not (counts := forks.counts(store, run, index)):
        return None
    own = {(a.problem, a.sample): a for a in aggregates.answers(store, run, index, most)}
    answers = list(forks.answers(store, run, index, most))
    return Curve(
        totals=forks.totals(store, run, index),
        counts=counts,
        votes=_votes(answers),
        own=aggregates.counts_by_problem(store, run, index),
        stop_when_sure=stopping_table.make(answers, own),
    )


def _votes(answers: Iterable[BudgetAnswer]) -> dict[int, Votes]:
    """The votes at each budget; the answers come problem by problem."""
    found: dict[int, Votes] = defaultdict(Votes)
    for _, group in groupby(answers, key=lambda answer: answer.problem):
        by_budget: dict[int, list[Vote]] = defaultdict(list)
        for a in group:
            by_budget[a.budget].append(Vote(a.extracted, a.correct, a.thinking_tokens + a.answer_tokens))
        for budget, votes in by_budget.items():
            found[budget].add(votes)
    return found


def entries(curve: Curve, rates: Rates) -> list[dict[str, Any]]:
    """The report's `budgets`: one entry a budget, ascending; each gain is over the entry before."""
    problems, found = _problems(curve), list[dict[str, Any]]()
    before: NDArray[np.int64] | None = None
    for budget, at in curve.counts.items():
        counts = _arrays(problems, at)
        n, c, natural = counts
        gain = stats.paired_gain(n, c, before[0], before[1], LEVEL) if before is not None else None
        accuracy, total = stats.generalisation(n, c, LEVEL), curve.totals[budget]
        least, votes = int(n[n > 0].min()), curve.votes.get(budget, Votes())
        found.append(
            {
                "budget": budget,
                "accuracy": accuracy.as_dict(),
                "gain": gain and gain.as_dict(),
                "hard_cut": stats.generalisation(n, natural, LEVEL).as_dict(),
                "forced": total.forced,
                "natural": total.natural,
                "reopened": total.reopened,
                "replayed": total.replayed,
                "outcomes": {str(outcome): total.outcomes[outcome] for outcome in Outcome},
                "pass_at": {str(j): stats.pass_at(n, c, j) for j in powers(least)},
                "majority_at": votes.majority_at(least),
                "shortest_majority_at": votes.shortest_majority_at(least),
                "tokens": {"thinking": total.thinking_tokens, "answer": total.answer_tokens},
                "correct_per_hour": rates.correct_per_hour(accuracy.value, total.tokens_per_sample),
            }
        )
        before = counts
    return found


def summary(curve: Curve, entry: Mapping[str, Any], rates: Rates) -> dict[str, Any]:
    """The report's `budget_summary`: what all budgets say together, beside thinking as long as it takes.

    Args:
        entry: the eval's, with its `budgets`.
    """
    problems = _problems(curve)
    n, c, _ = np.stack([_arrays(problems, at) for at in curve.counts.values()], axis=1)
    own_n, own_c = np.array([curve.own.get(problem, (0, 0)) for problem in problems]).T
    area = stats.log2_area(list(curve.counts), n, c, LEVEL)
    gain = stats.paired_gain(own_n, own_c, n[-1], c[-1], LEVEL)
    tokens = sum(entry["tokens"][part] for part in ("thinking", "answer")) / sum(entry["outcomes"].values())
    per_hour = rates.correct_per_hour(entry["accuracy"]["value"], tokens)
    ways = [
        way
        for at in entry["budgets"]
        for way in _ways(at["budget"], at, curve.totals[at["budget"]].tokens_per_sample)
    ]
    ways += _ways(None, entry, tokens)
    hourly = [(at["correct_per_hour"], at["budget"]) for at in entry["budgets"]] + [(per_hour, None)]
    best = max((each for each in hourly if each[0]), key=itemgetter(0), default=None)
    return {
        "area": area and area.as_dict(),
        "unlimited": {
            "gain": gain and gain.as_dict(),
            "tokens_per_sample": tokens,
            "correct_per_hour": per_hour,
        },
        "most_per_hour": best and {"budget": best[1], "correct_per_hour": best[0]},
        "spending": [
            {**way._asdict(), "frontier": leads}
            for way, leads in zip(ways, stats.frontier(ways), strict=True)
        ],
        "further": [asdict(each) for each in stats.further(ways)],
        "stop_when_sure": curve.stop_when_sure,
    }


def _ways(budget: int | None, entry: Mapping[str, Any], tokens: float) -> list[stats.Spending]:
    """One sample at this budget, and votes of several."""
    one = stats.Spending(budget, 1, tokens, entry["accuracy"]["value"])
    votes = entry["majority_at"].items()
    return [one, *(stats.Spending(budget, int(j), int(j) * tokens, won) for j, won in votes)]


def _problems(curve: Curve) -> list[int]:
    return sorted({problem for at in curve.counts.values() for problem in at})


def _arrays(problems: Sequence[int], at: Mapping[int, BudgetCounts]) -> NDArray[np.int64]:
    """Samples, correct ones, and correct ones that had ended before, shape (3, problems)."""
    return np.array([at.get(problem, (0, 0, 0)) for problem in problems], dtype=np.int64).reshape(-1, 3).T

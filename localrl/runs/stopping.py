"""When a run may stop early: it is precise enough, or its comparison with another run is settled.

Looking at a running result and stopping when it pleases is how people fool themselves. Two things make it
honest here. The intervals are confidence sequences (`stats.sequential`), valid at every look. And only the
finished beginning of an order that was fixed before the run is looked at: the problems that happen to finish
first are the short ones, and short ones are easy.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from localrl import stats
from localrl.errors import UsageError
from localrl.store import aggregates
from localrl.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from localrl.runs.plan import RunPlan
    from localrl.sample import Problem
    from localrl.store.runs import Run, Store

FIRST_LOOK = 10  # problems; before that nothing is ever settled
LOOK_EVERY = 0.05  # look again when this share more is known


def shuffled(ids: Sequence[str], seed: int) -> list[str]:
    """Problem ids in the order in which they are asked: random, the same for the same seed and eval."""

    def place(problem: str) -> bytes:
        return hashlib.blake2b(f"{seed}\0{problem}".encode("utf-8", "replace"), digest_size=8).digest()

    return sorted(ids, key=place)


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why an eval may stop, and the interval that holds although we looked all the time."""

    rule: Literal["until", "decide"]
    interval: stats.Interval
    """Of the accuracy ("until"), or of its difference from the other run ("decide")."""
    problems: int
    """Problems, or whole rounds over all of them, that the interval rests on."""
    unit: Literal["problems", "rounds"]
    verdict: str = ""
    """For "decide": this run is "better" or "worse"."""
    e_value: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class StoppingRule:
    """Takes one eval's outcomes as they come and says when to stop.

    With `rounds`, samples come round by round over all problems (sample 0 of each, then sample 1, ...), and
    "until" is about these problems; else they come problem by problem, and it is about what the whole eval
    would score.

    Args:
        order: every problem of the eval in the order in which it is asked.
        k: samples a problem.
        until: stop when the accuracy is known to plus or minus this, in [0, 1]; None never stops for it.
        other: another run's share of correct samples by problem, to decide against; None decides nothing.
    """

    def __init__(
        self,
        order: Sequence[str],
        k: int,
        *,
        rounds: bool = False,
        until: float | None = None,
        other: Mapping[str, float] | None = None,
        level: float = 0.95,
    ) -> None:
        self._place = {problem: i for i, problem in enumerate(order)}
        self._seen = np.full((len(order), k), -1, dtype=np.int8)
        self._rounds, self._until, self._level = rounds, until, level
        self._other = None if other is None else np.array([other.get(p, np.nan) for p in order])
        self._known = self._looked = 0
        self.settled: StopReason | None = None

    def take(self, problem: str, sample: int, correct: bool) -> StopReason | None:
        """Count one judged sample; returns the reason to stop when this one gave it."""
        place = self._place.get(problem)
        if place is None or self.settled is not None or sample >= self._seen.shape[1]:
            return None
        self._seen[place, sample] = correct
        self._advance()
        if self._known < self._next_look():
            return None
        self._looked = self._known
        self.settled = self._look()
        return self.settled

    def _advance(self) -> None:
        """How much of the planned order is known without a gap."""
        seen = self._seen.T if self._rounds else self._seen
        while self._known < len(seen) and (seen[self._known] >= 0).all():
            self._known += 1

    def _next_look(self) -> int:
        if self._rounds:
            return self._looked + 1
        return max(FIRST_LOOK, self._looked + max(1, int(LOOK_EVERY * self._looked)))

    def _look(self) -> StopReason | None:
        if self._rounds:
            interval = stats.repeat_sequence(self._seen[:, : self._known], self._level)
            return self._narrow(interval, "rounds")
        shares = self._seen[: self._known].mean(axis=1)
        if self._other is not None:
            reason = self._decide(shares - self._other[: self._known])
            if reason is not None:
                return reason
        if self._until is None or self._too_early(shares):
            return None
        return self._narrow(stats.mean_sequence(shares, self._level, population=len(self._seen)), "problems")

    def _too_early(self, shares: Any) -> bool:
        """Whether even an interval for a single look, which is narrower, would be too wide: cheap to know."""
        left = 1 - shares.size / len(self._seen)
        return bool(1.64 * shares.std() * (left / shares.size) ** 0.5 > (self._until or 0.0))

    def _narrow(self, interval: stats.Interval, unit: Literal["problems", "rounds"]) -> StopReason | None:
        if self._until is None or interval.half_width > self._until:
            return None
        return StopReason("until", interval, self._known, unit)

    def _decide(self, differences: Any) -> StopReason | None:
        shared = differences[~np.isnan(differences)]
        # Cheap to know: a sequence never excludes 0 where one look would not.
        if shared.size < FIRST_LOOK or abs(shared.sum()) < 1.64 * shared.std() * shared.size**0.5:
            return None
        decision = stats.difference_sequence(shared, self._level)
        if not decision.settled:
            return None
        return StopReason(
            "decide", decision.difference, shared.size, "problems", decision.verdict, decision.e_value
        )


class StoppingRules:
    """The stopping rules of a run: the order in which it asks, and which of its evals are settled."""

    def __init__(self, store: Store, run: Run, plan: RunPlan) -> None:
        self._store, self._run, self._plan = store, run, plan
        self._rules_by_eval: dict[int, StoppingRule] = {}

    @property
    def active(self) -> bool:
        """Whether there is a rule."""
        return self._plan.until is not None or self._plan.decide is not None

    def order(self, index: int, problems: Iterable[Problem]) -> Iterator[tuple[Problem, Sequence[int]]]:
        """An eval's problems with the indexes of the samples to make, until the eval is settled.

        Without a rule: as they come, all k samples at once. With one: in random order, and round by round
        where the question is what the model scores on these problems.

        Raises:
            UsageError: the run to decide against has none of this eval's problems.
        """
        part = self._plan.evals[index]
        if not self.active:
            yield from ((problem, range(part.samples)) for problem in problems)
            return
        by_id = {problem.id: problem for problem in problems}
        ids = shuffled(list(by_id), self._plan.seed)
        rounds = part.samples > 1 and self._plan.decide is None
        rule = self._rule(index, ids, rounds)
        for wanted in [(i,) for i in range(part.samples)] if rounds else [tuple(range(part.samples))]:
            for problem in ids:
                if rule.settled is not None:
                    return
                yield by_id[problem], wanted

    def take(self, index: int, problem: str, sample: int, outcome: Outcome) -> None:
        """Count a judged sample. One that the engine lost counts once it was made again."""
        rule = self._rules_by_eval.get(index)
        if rule is not None and outcome is not Outcome.ENGINE_ERROR:
            rule.take(problem, sample, outcome is Outcome.CORRECT)

    def settled(self) -> dict[str, Any]:
        """Why evals stopped early, by name, as JSON values."""
        return {
            self._plan.evals[index].spec.name: rule.settled.as_dict()
            for index, rule in self._rules_by_eval.items()
            if rule.settled is not None
        }

    def _rule(self, index: int, ids: list[str], rounds: bool) -> StoppingRule:
        """Begin to watch an eval, with what earlier sessions know of it."""
        part, other = self._plan.evals[index], None
        if self._plan.decide is not None:
            theirs = aggregates.groups_by_problem(self._store, self._store.find(self._plan.decide))
            groups = theirs.get(part.spec.name, {})
            other = {problem: groups[problem].share for problem in ids if problem in groups}
            if len(other) < FIRST_LOOK:
                raise UsageError(
                    f"run {self._plan.decide} has {len(other)} of the problems of {part.spec.name}",
                    hint=f"a decision needs {FIRST_LOOK} shared ones",
                )
        rule = StoppingRule(ids, part.samples, rounds=rounds, until=self._plan.until, other=other)
        self._rules_by_eval[index] = rule
        for row in self._store.rows(self._run, judged=True):
            if row.eval == part.spec.name and row.outcome:
                self.take(index, row.problem, row.sample, Outcome(row.outcome))
        return rule

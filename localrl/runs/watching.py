"""A run that another process works on, followed in the store: how far it is, and what has come since.

Only new samples are read one by one; everything else is summed up by SQLite, which keeps no other thread of
this process waiting. What is shown is what was committed: the texts of running streams are not.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrl.engine.protocol import Metrics
from localrl.errors import LocalrlError
from localrl.evals import dataset
from localrl.runs import budgets
from localrl.runs.ordering import Lengths
from localrl.runs.plan import RunPlan
from localrl.runs.progress import EvalProgress, Progress
from localrl.store import aggregates

if TYPE_CHECKING:
    from localrl.sample import SampleRow
    from localrl.store.runs import Run, Store


class RunWatcher:
    """For one thread: `look` now and then; `progress` is as it was then."""

    def __init__(self, store: Store, run: Run) -> None:
        self._store, self._run = store, run
        plan = RunPlan.model_validate(run.manifest["plan"])
        self._ks = [part.samples for part in plan.evals]
        self._budgets = [part.budgets for part in plan.evals]
        self._version = -1
        self._sessions, self._worked_s = -1, 0.0
        self._newest = -1.0
        """When the last sample ended that was read."""
        self._unjudged: set[tuple[str, str, int]] = set()
        """Eval, problem and index of samples that had no verdict yet."""
        self.progress = Progress(_totals(plan, Lengths(store, run, plan)), clock=lambda: self._worked_s)

    def look(self) -> list[SampleRow]:
        """Take over what was committed since the last time; returns what is new or newly judged."""
        version = self._store.version
        if version == self._version:
            return []
        self._version = version
        rows = [self._store.sample(self._run, *place).row for place in self._unjudged]
        for row in self._store.rows(self._run, since=self._newest):
            rows.append(row)
            self._newest = max(self._newest, row.ended)
            if row.ttft_s is not None:
                self.progress.first_token.add(row.ttft_s)
        self._unjudged = {(row.eval, row.problem, row.sample) for row in rows if row.outcome is None}
        for i, part in enumerate(self.progress.evals):
            tally = aggregates.totals(self._store, self._run, i)
            several = self._ks[i] > 1
            part.outcomes = Counter({name: count for name, count in tally.outcomes.items() if name})
            groups = aggregates.groups(self._store, self._run, i) if several else tally.groups_of_one
            part.groups = Counter()
            for counts, problems in groups.items():
                part.groups[counts.samples, counts.correct] += problems
            part.budgets = budgets.counted(self._store, self._run, i, self._budgets[i], part.total, k=1)
        self._take_counters()
        return rows

    def _take_counters(self) -> None:
        """The counters of the last session. Time is what the other process counts as its work."""
        sessions = self._store.sessions(self._run)
        counters: dict[str, Any] = sessions[-1][1] if sessions else {}
        if len(sessions) != self._sessions:
            self._sessions, self._worked_s = len(sessions), 0.0
            old = self.progress
            self.progress = Progress(old.evals, first_token=old.first_token, clock=lambda: self._worked_s)
            self.progress.worked_before_s = sum(earlier.get("wall_s", 0.0) for _, earlier in sessions[:-1])
            self.progress.take(Metrics())
        progress = self.progress
        before = counters.get("before") or {"done": progress.done, "correct": progress.correct}
        progress.done_before, progress.correct_before = before["done"], before["correct"]
        self._worked_s = counters.get("wall_s", 0.0)
        progress.take(
            Metrics(
                generated_tokens=counters.get("generated_tokens", 0),
                running=counters.get("running", 0),
                parallel=counters.get("parallel", 1),
                steps=int(bool(counters)),
                peak_memory_bytes=counters.get("peak_memory_bytes", 0),
            )
        )


def _totals(plan: RunPlan, lengths: Lengths) -> list[EvalProgress]:
    found = []
    for index, part in enumerate(plan.evals):
        try:
            problems = dataset.count(part.spec, Path(part.path), part.limit) or 0
        except LocalrlError:
            problems = 0
        each = lengths.of_eval(index)
        found.append(EvalProgress(part.spec.name, problems * part.samples, tokens_each=each))
    return found

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
from localrl.runs.plan import RunPlan
from localrl.runs.progress import EvalProgress, Progress
from localrl.store import sums

if TYPE_CHECKING:
    from localrl.store.runs import Run, Store

Cell = tuple[int, str, int, str | None]
"""(eval's position, problem's id, sample's index, outcome; None until it is judged)"""


class Watch:
    """For one thread: `look` now and then; `progress` is as it was then."""

    def __init__(self, store: Store, run: Run) -> None:
        self._store, self._run = store, run
        plan = RunPlan.model_validate(run.manifest["plan"])
        self._ks = [part.samples for part in plan.evals]
        self._version = -1
        self._sessions, self._worked_s = -1, 0.0
        self._newest = -1.0
        """When the last sample ended that was read."""
        self._unjudged: set[tuple[int, int, int]] = set()
        self.progress = Progress(_totals(plan), clock=lambda: self._worked_s)

    def look(self) -> list[Cell]:
        """Take over what was committed since the last time; returns what is new or newly judged."""
        version = self._store.connection.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version:
            return []
        self._version = version
        cells = [cell for place in list(self._unjudged) for cell in self._read(_AT, place)]
        cells += self._read("s.ended > ?", (self._newest,))
        for i, part in enumerate(self.progress.evals):
            tally = sums.tally(self._store, self._run, i)
            several = self._ks[i] > 1
            part.outcomes = Counter({name: count for name, count in tally.outcomes.items() if name})
            groups = sums.groups(self._store, self._run, i) if several else tally.groups_of_one
            part.groups = Counter()
            for counts, problems in groups.items():
                part.groups[counts.samples, counts.correct] += problems
        self._take_counters()
        return cells

    def _read(self, where: str, values: tuple[Any, ...]) -> list[Cell]:
        rows = self._store.connection.execute(
            "SELECT s.eval, s.problem, s.idx, p.id, s.outcome, s.ended, s.ttft_s FROM samples s "
            f"JOIN problems p ON p.key = s.problem WHERE s.run = ? AND {where} "
            "ORDER BY s.eval, s.problem, s.idx",
            (self._run.key, *values),
        )
        cells = []
        newest = self._newest
        for eval_index, problem, index, name, outcome, ended, ttft_s in rows:
            if ended > self._newest and ttft_s is not None:
                self.progress.first_token.add(ttft_s)
            newest = max(newest, ended)
            if outcome is None:
                self._unjudged.add((eval_index, problem, index))
            else:
                self._unjudged.discard((eval_index, problem, index))
            cells.append((eval_index, name, index, outcome))
        self._newest = newest
        return cells

    def _take_counters(self) -> None:
        """The figures of the last session. Time is what the other process counts as its work."""
        sessions = self._store.sessions(self._run)
        counters: dict[str, Any] = sessions[-1][1] if sessions else {}
        if len(sessions) != self._sessions:
            self._sessions, self._worked_s = len(sessions), 0.0
            old = self.progress
            self.progress = Progress(old.evals, first_token=old.first_token, clock=lambda: self._worked_s)
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


_AT = "s.eval = ? AND s.problem = ? AND s.idx = ?"


def _totals(plan: RunPlan) -> list[EvalProgress]:
    found = []
    for part in plan.evals:
        try:
            problems = dataset.count(part.spec, Path(part.path), part.limit) or 0
        except LocalrlError:
            problems = 0
        found.append(EvalProgress(part.spec.name, problems * part.samples))
    return found

"""What a run yielded, as comparisons, reports and exports read it: its report, numbers a sample, full texts.

They know nothing of how a run is stored. Texts are streamed, since 100,000 of them need not fit in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from localrl import paths
from localrl.report import report
from localrl.store import aggregates, forks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from localrl.report.budget_comparison import BudgetCounts
    from localrl.sample import Groups, Sample, SampleRow
    from localrl.store.runs import Run, Store


class Results(Protocol):
    """What every run offers to its readers. Samples that no verifier has judged yet are left out."""

    @property
    def report(self) -> dict[str, Any]:
        """The run's JSON report, as `localrl runs show --json` prints it."""

    @property
    def origin(self) -> dict[str, Any]:
        """What only the store needs to hold the run again: JSON values; empty when unknown."""

    @property
    def groups(self) -> Groups:
        """Its judged samples, counted by problem."""

    @property
    def budget_counts(self) -> BudgetCounts:
        """Its judged answers at thinking budgets, counted by problem; empty where it has none."""

    def rows(self) -> Iterable[SampleRow]:
        """Every judged sample without its texts, a problem's samples together."""

    def questions(self) -> Mapping[tuple[str, str], tuple[str, str]]:
        """Each problem's prompt and target, as text that is the same for the same ones, by eval and id."""

    def samples(self) -> Iterator[Sample]:
        """Every judged sample with its text, in the order of `rows`."""


@dataclass(frozen=True)
class StoredResults:
    """A run in the store; implements `Results`."""

    store: Store
    run: Run

    @cached_property
    def report(self) -> dict[str, Any]:
        made = report.make(self.store, self.run)
        command = self.run.manifest["plan"].get("command")
        return {**made, "command": paths.without_home(command)} if command else made

    @property
    def origin(self) -> dict[str, Any]:
        return {
            "manifest": paths.without_home(self.run.manifest),
            "sessions": paths.without_home(self.store.sessions(self.run)),
            "status": self.run.status,
        }

    @cached_property
    def groups(self) -> Groups:
        return aggregates.groups_by_problem(self.store, self.run)

    @cached_property
    def budget_counts(self) -> BudgetCounts:
        ids = self.store.problem_ids(self.run)
        found = {}
        for i, name in enumerate(self.run.evals):
            at_budgets = forks.counts(self.store, self.run, i)
            found[name] = {
                budget: {ids[key]: (counts.samples, counts.correct) for key, counts in problems.items()}
                for budget, problems in at_budgets.items()
            }
        return found

    def rows(self) -> Iterator[SampleRow]:
        return self.store.rows(self.run, judged=True)

    def questions(self) -> dict[tuple[str, str], tuple[str, str]]:
        return self.store.questions(self.run)

    def samples(self) -> Iterator[Sample]:
        return (sample for sample in self.store.samples(self.run) if sample.outcome is not None)


@dataclass(frozen=True)
class OneEval:
    """A run narrowed to one of its evals; implements `Results`."""

    run: Results
    eval: str

    @property
    def report(self) -> dict[str, Any]:
        entries = self.run.report.get("evals") or []
        return {**self.run.report, "evals": [e for e in entries if e.get("eval") == self.eval]}

    @property
    def origin(self) -> dict[str, Any]:
        return {}  # a part of a run is no run to go on with

    @property
    def groups(self) -> Groups:
        return {name: problems for name, problems in self.run.groups.items() if name == self.eval}

    @property
    def budget_counts(self) -> BudgetCounts:
        return {name: found for name, found in self.run.budget_counts.items() if name == self.eval}

    def rows(self) -> Iterator[SampleRow]:
        return (row for row in self.run.rows() if row.eval == self.eval)

    def questions(self) -> Mapping[tuple[str, str], tuple[str, str]]:
        return {key: asked for key, asked in self.run.questions().items() if key[0] == self.eval}

    def samples(self) -> Iterator[Sample]:
        return (sample for sample in self.run.samples() if sample.problem.eval == self.eval)


def find(store: Store, reference: str) -> StoredResults:
    """A run by its id, the beginning of its id, its name, or `last`.

    Raises:
        UsageError: there is none, or more than one.
    """
    return StoredResults(store, store.find(reference))

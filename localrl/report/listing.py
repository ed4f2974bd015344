"""The runs of a store as every list of runs shows them: one accuracy an eval, the report's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from localrl.report import metrics, report, run_summary
from localrl.store import locks

if TYPE_CHECKING:
    from localrl.store.runs import Store


class JudgedEval(NamedTuple):
    """One eval of a run, as plots show it."""

    accuracy: float
    tokens_per_sample: float


@dataclass(frozen=True, slots=True)
class ListedRun:
    id: str
    status: str
    """As in the report, or "running" while a process works on it."""
    report: dict[str, Any]

    @property
    def label(self) -> str:
        """What to call it: its name, else its id."""
        return str(self.report["name"] or self.id)

    @property
    def model(self) -> str:
        return run_summary.model_name(self.report)

    @property
    def evals(self) -> list[str]:
        return [entry["eval"] for entry in self.report["evals"]]

    @property
    def samples(self) -> int:
        return sum(map(metrics.samples, self.report["evals"]))

    @property
    def accuracies(self) -> dict[str, float | None]:
        """By eval; None where nothing was judged yet."""
        return {
            entry["eval"]: entry["accuracy"] and entry["accuracy"]["value"] for entry in self.report["evals"]
        }

    @property
    def speed(self) -> float | None:
        """Decode tokens per second over all streams."""
        speed: float | None = self.report["speed"]["decode_tokens_per_s"]
        return speed

    @property
    def judged(self) -> list[JudgedEval]:
        return [
            JudgedEval(entry["accuracy"]["value"], metrics.generated(entry) / metrics.samples(entry))
            for entry in run_summary.judged(self.report)
        ]

    def as_dict(self) -> dict[str, Any]:
        """As `runs ls --json` prints it; its `accuracy` is the mean over the problems of all evals."""
        entries = run_summary.judged(self.report)
        problems = sum(entry["problems"] for entry in entries)
        total = sum(entry["problems"] * entry["accuracy"]["value"] for entry in entries)
        one = entries[0]["accuracy"]["value"] if len(entries) == 1 else None
        return {
            "run": self.id,
            "name": self.report["name"],
            "created": self.report["created"],
            "status": self.status,
            "model": self.report["model"]["name"],
            "quantisation": self.report["model"]["quantisation"],
            "evals": self.evals,
            "samples": self.samples,
            "accuracy": one if one is not None else total / problems if problems else None,
            "accuracies": self.accuracies,
        }


def runs(store: Store) -> list[ListedRun]:
    """All runs, the newest first."""
    found = []
    for run in store.runs():
        made = report.make(store, run)
        found.append(ListedRun(run.id, "running" if locks.is_locked(run) else made["status"], made))
    return found

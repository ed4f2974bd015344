"""How long a run will take, and which runs were left unfinished; for threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from localrl.errors import LocalrlError
from localrl.runs import estimate
from localrl.runs.plan import planned
from localrl.store import aggregates, locks
from localrl.store.runs import Store

if TYPE_CHECKING:
    from localrl.runs.request import RunRequest
    from localrl.settings import Settings
    from localrl.store.runs import Run


def estimated(request: RunRequest, settings: Settings) -> str:
    """How long the run will take and what it can show, or why it cannot be done."""
    try:
        plan, _ = planned(request, settings)
        with Store() as store:
            lines = [str(estimate.estimate(store, plan))]
    except LocalrlError as error:
        return str(error)
    for part in plan.evals:
        named = f"{part.spec.name}: " if len(plan.evals) > 1 else ""
        lines += [named + words for words in estimate.prospects(part, estimate.problems(part))]
    return "\n".join(lines)


class UnfinishedRun(NamedTuple):
    """A run that lacks samples."""

    id: str
    description: str
    at_work: bool
    """A process works on it."""


def unfinished() -> list[UnfinishedRun]:
    """The newest first."""
    with Store() as store:
        runs = [run for run in store.runs() if run.status in ("partial", "running")]
        return [UnfinishedRun(run.id, _described(store, run), locks.is_locked(run)) for run in runs]


def _described(store: Store, run: Run) -> str:
    plan = run.manifest["plan"]
    evals = ", ".join(part["spec"]["name"] for part in plan["evals"])
    kept = f"{aggregates.count(store, run):,} samples kept"
    when = run.created[:16].replace("T", " ")
    return "   ".join((run.name or run.id, plan["model_name"], evals, kept, when))

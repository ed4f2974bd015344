"""How long a run will take, and which runs were left unfinished; for threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localrl.errors import LocalrlError
from localrl.runs import estimate
from localrl.runs.plan import planned
from localrl.store import aggregates, locks
from localrl.store.runs import Store

if TYPE_CHECKING:
    from localrl.runs.request import RunRequest
    from localrl.settings import Settings


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


def unfinished(at_work: bool = False) -> list[tuple[str, str]]:
    """Runs that lack samples, the newest first, as (id, description).

    Args:
        at_work: those that a process works on, instead of those that nobody does.
    """
    found = []
    with Store() as store:
        for run in store.runs():
            if run.status in ("partial", "running") and locks.is_locked(run) == at_work:
                kept = aggregates.count(store, run)
                manifest = run.manifest["plan"]
                evals = ", ".join(part["spec"]["name"] for part in manifest["evals"])
                when = run.created[:16].replace("T", " ")
                parts = (run.name or run.id, manifest["model_name"], evals, f"{kept:,} samples kept", when)
                found.append((run.id, "   ".join(parts)))
    return found

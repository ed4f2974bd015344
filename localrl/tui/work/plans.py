"""From the form of the bench screen to a stored run, as `localrl bench` does it; for threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localrl.engine import selection
from localrl.engine.protocol import EngineSettings
from localrl.errors import LocalrlError
from localrl.formats import duration
from localrl.runs import estimate, plan
from localrl.store import locks
from localrl.store.runs import Store

if TYPE_CHECKING:
    from localrl.runs.plan import RunPlan
    from localrl.settings import Settings
    from localrl.tui.app import ModelSelection
    from localrl.tui.widgets.bench.setup import RunForm

SAMPLER = ("temperature", "max_tokens")


def make(form: RunForm, choice: ModelSelection, chosen: Settings) -> RunPlan:
    """The run that the form describes.

    Raises:
        UsageError: the model or an eval is not there, or cannot work.
    """
    options: dict[str, Any] = dict(form.options)
    parallel = options.get("parallel") or (None if chosen.parallel == "auto" else int(chosen.parallel))
    found = selection.choose(form.model, choice.backend, choice.endpoints)
    engine = EngineSettings(
        backend=found.backend, parallel=parallel, context=chosen.ctx, endpoints=found.endpoints
    )
    return plan.make(
        found.model,
        form.evals or chosen.evals,
        engine,
        named=form.model,
        samples=options.get("samples"),
        limit=options.get("limit"),
        seed=options.get("seed", 0),
        sampling={key: options[key] for key in SAMPLER if key in options},
    )


def estimated(form: RunForm, choice: ModelSelection, chosen: Settings) -> str:
    """How long the run will take, or why it cannot be done."""
    try:
        made = make(form, choice, chosen)
        with Store() as store:
            found = estimate.estimate(store, made)
    except LocalrlError as error:
        return str(error)
    time = f"about {duration(found.seconds)}" if found.seconds is not None else "time unknown"
    lines = [f"{found.samples:,} samples, {found.tokens:,.0f} tokens, {time}", f"({found.basis})"]
    for part in made.evals:
        named = f"{part.spec.name}: " if len(made.evals) > 1 else ""
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
                kept = store.connection.execute(
                    "SELECT COUNT(*) FROM samples WHERE run = ?", (run.key,)
                ).fetchone()[0]
                manifest = run.manifest["plan"]
                evals = ", ".join(part["spec"]["name"] for part in manifest["evals"])
                when = run.created[:16].replace("T", " ")
                parts = (run.name or run.id, manifest["model_name"], evals, f"{kept:,} samples kept", when)
                found.append((run.id, "   ".join(parts)))
    return found

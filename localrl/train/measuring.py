"""Measurements of a training: ordinary runs by the engine that it trains with, before, between and after."""

from __future__ import annotations

from contextlib import contextmanager
from statistics import fmean
from typing import TYPE_CHECKING

from localrl import stats
from localrl.report import metrics
from localrl.runs import session
from localrl.runs.runner import Runner
from localrl.store import aggregates, locks
from localrl.train.rails import Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.engine.client import EngineClient
    from localrl.engine.protocol import Metrics
    from localrl.sample import Group
    from localrl.stats import PairedComparison
    from localrl.store.runs import Run, Store
    from localrl.store.trainings import Purpose, Training
    from localrl.train.plan import TrainPlan
    from localrl.verify.pool import VerifierPool


@contextmanager
def measurement(
    store: Store,
    training: Training,
    plan: TrainPlan,
    purpose: Purpose,
    step: int,
    engine: EngineClient,
    pool: VerifierPool,
    engine_did: Metrics,
) -> Iterator[Runner]:
    """The run of a measurement, begun or gone on with.

    Args:
        step: how many steps the adapter has behind it.
        engine_did: what the engine had counted before; it is not the run's.
    """
    asked = plan.checked if purpose == "check" else plan.measured
    if step:
        asked = asked.with_adapter(training.adapter(step))
    run_id = _known(store, training, step, purpose) or store.trainings.begin_measurement(
        training, step, purpose, session.manifest(asked)
    )
    run = store.find(run_id)
    with locks.lock(run):
        yield Runner(store, run, asked, engine, pool, engine_did)


def is_complete(store: Store, training: Training, step: int, purpose: Purpose) -> bool:
    run_id = _known(store, training, step, purpose)
    return run_id is not None and store.find(run_id).status == "complete"


def _known(store: Store, training: Training, step: int, purpose: Purpose) -> str | None:
    """The id of the run that makes this measurement."""
    known = {(each.step, each.purpose): each.run for each in store.trainings.measurements(training)}
    return known.get((step, purpose))


def before(store: Store, training: Training) -> float | None:
    """Held-out accuracy before the first step; None until it is measured."""
    run_id = _known(store, training, 0, "before")
    run = store.find(run_id) if run_id else None
    return _accuracy(store, run) if run and run.status == "complete" else None


def checks(store: Store, training: Training) -> list[Check]:
    """The held-out problems after some steps against before, of every measurement that is complete."""
    runs = [(each.step, store.find(each.run)) for each in store.trainings.measurements(training)]
    done = [(step, run) for step, run in runs if run.status == "complete"]
    if not done or done[0][0]:
        return []
    before, found = done[0][1], []
    for step, run in done[1:]:
        if compared := paired(store, before, run).get(run.evals[0]):
            found.append(
                Check(step, compared.difference.value + _accuracy(store, before), compared.difference)
            )
    return found


def paired(store: Store, before: Run, after: Run) -> dict[str, PairedComparison]:
    """After against before, by eval, on the problems that both asked."""
    old, new = (aggregates.groups_by_problem(store, run) for run in (before, after))
    return {name: _compare(old[name], new[name]) for name in old if name in new and len(old[name]) > 1}


def _compare(old: dict[str, Group], new: dict[str, Group]) -> PairedComparison:
    shared = [problem for problem in old if problem in new]
    after, before = ([groups[problem] for problem in shared] for groups in (new, old))
    return stats.compare(*metrics.arrays(after), *metrics.arrays(before))


def _accuracy(store: Store, run: Run) -> float:
    """Of the run's first eval."""
    return fmean(group.share for group in aggregates.groups_by_problem(store, run)[run.evals[0]].values())

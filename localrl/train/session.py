"""One session of a training, opened and closed as a whole: lock, engine, trainer, verifiers, and the loop.

The command line begins here; whoever looks on reads the store.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localrl.errors import UsageError
from localrl.evals import dataset
from localrl.evals.check import check
from localrl.runs import session as runs
from localrl.store import locks
from localrl.train import trainers
from localrl.train.loop import TrainLoop
from localrl.train.order import ProblemOrder
from localrl.train.plan import TrainPlan
from localrl.train.trainer import TrainerSettings

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from localrl.store.runs import Store
    from localrl.store.trainings import Training


@dataclass(frozen=True, slots=True)
class TrainSession:
    training: Training
    plan: TrainPlan
    loop: TrainLoop
    log: Path
    """What the worker and the native libraries say."""


@contextmanager
def start(
    store: Store, plan: TrainPlan, name: str = "", stopping: threading.Event | None = None
) -> Iterator[TrainSession]:
    """Get the problems and load the model, then enter a new training into the store.

    Args:
        stopping: set it to stop at any time, also while data is fetched or the model loaded.

    Raises:
        UsageError, Unavailable, NetworkError, Stopped: data, model or trainer are not to be had, or not
            wanted; there is no training then.
    """
    with _loaded(store, plan, stopping) as session_of:
        training = store.trainings.create(_manifest(plan), name)
        with locks.lock(training):
            yield session_of(training)


@contextmanager
def work_on(
    store: Store, training: Training, stopping: threading.Event | None = None
) -> Iterator[TrainSession]:
    """Load the model of a training and be ready to go on where it stopped.

    Raises:
        UsageError: another process works on it, it is complete, or its model is gone.
        UsageError, Unavailable, NetworkError, Stopped: as `start`.
    """
    plan = TrainPlan.model_validate(training.manifest["plan"])
    if training.status == "complete":
        raise UsageError(
            f"training {training.id} is complete", hint=f"look at it with: localrl runs show {training.id}"
        )
    if not Path(plan.measured.engine.model).exists():
        raise UsageError(f"the model of this training is gone: {plan.measured.engine.model}")
    with locks.lock(training), _loaded(store, plan, stopping) as session_of:
        yield session_of(training)


@contextmanager
def _loaded(
    store: Store, plan: TrainPlan, stopping: threading.Event | None
) -> Iterator[Callable[[Training], TrainSession]]:
    """Problems, engine and trainer, ready for a training of this plan."""
    part = plan.trained
    check(part.spec, Path(part.path))
    runs.fetch([part, *plan.measured.evals], stopping)
    order = ProblemOrder(list(dataset.problems(part.spec, Path(part.path), part.limit)), plan.seed)
    with (
        runs.loaded(plan.measured, stopping) as (engine, log, pool, _),
        closing(trainers.load(plan.measured.engine.backend, trainer_settings(plan))) as trainer,
    ):

        def session_of(training: Training) -> TrainSession:
            loop = TrainLoop(store, training, plan, order, engine, trainer, pool)
            return TrainSession(training, plan, loop, log)

        yield session_of


def trainer_settings(plan: TrainPlan) -> TrainerSettings:
    lora = plan.recipe.lora
    return TrainerSettings(
        model=plan.measured.engine.model,
        rank=lora.rank,
        alpha=lora.alpha,
        seed=plan.seed,
        betas=plan.recipe.optimiser.betas,
        weight_decay=plan.recipe.optimiser.weight_decay,
        sample_tokens=plan.trained.sampling.max_tokens,
        samples=plan.recipe.samples,
    )


def _manifest(plan: TrainPlan) -> dict[str, object]:
    """Everything that fixes a training, and the machine that it begins on."""
    machine = runs.manifest(plan.measured)
    return {**machine, "plan": plan.model_dump(mode="json")}

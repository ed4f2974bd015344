"""One session of a run, opened and closed as a whole: store, lock, engine, verifiers, and the runner.

The command line and the terminal interface both begin here.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrl import __version__, paths
from localrl.catalog import adapters, hashes
from localrl.engine import backends
from localrl.engine.client import EngineClient
from localrl.errors import LocalrlError, Stopped, UsageError
from localrl.evals import dataset
from localrl.evals.check import check
from localrl.machine import hardware
from localrl.runs import estimate
from localrl.runs.plan import RunPlan
from localrl.runs.runner import Runner
from localrl.store import locks
from localrl.verify.pool import VerifierPool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from localrl.engine.protocol import EngineSettings, ServerOptions
    from localrl.runs.plan import EvalPlan
    from localrl.store.runs import Run, Store

MOST_READ = 2000
"""Problems that are read beforehand to find the longest prompt."""
TEMPLATE_TOKENS = 512
"""More than chat templates write around messages."""


@dataclass(frozen=True, slots=True)
class Session:
    run: Run
    plan: RunPlan
    store: Store
    engine: EngineClient
    runner: Runner
    log: Path
    """What the worker and the native libraries say."""


@contextmanager
def start(
    store: Store, plan: RunPlan, name: str = "", stopping: threading.Event | None = None
) -> Iterator[Session]:
    """Get the problems and load the model, then enter a new run into the store; `session.runner` does it.

    Args:
        stopping: set it to stop at any time, also while data is fetched or the model loaded.

    Raises:
        UsageError, Unavailable, NetworkError, Stopped: data or model are not to be had, or not wanted; there
            is no run then.
    """
    fetch(plan.evals, stopping)
    with loaded(plan, stopping, _informed(store, plan)) as (engine, log, pool, fingerprint):
        run = create(store, plan, name)
        with locks.lock(run):
            yield Session(run, plan, store, engine, Runner(store, run, plan, engine, pool), log)
            fingerprint.note(store, run)


@contextmanager
def work_on(
    store: Store, run: Run, stopping: threading.Event | None = None, server: ServerOptions | None = None
) -> Iterator[Session]:
    """Load the model of a run and be ready to do what the run still lacks.

    Args:
        stopping: as for `start`.
        server: headers, which are not stored, and certificates that may have moved.

    Raises:
        UsageError: another process works on this run, or its model is gone.
        ConfigError: what one of its evals names is not here, or breaks its contract.
        UsageError, Unavailable, NetworkError, Stopped: as `start`.
    """
    plan = plan_of(run, server)
    for part in plan.evals:
        check(part.spec, Path(part.path))
    fetch(plan.evals, stopping)
    settings = _informed(store, plan)
    with locks.lock(run), loaded(plan, stopping, settings) as (engine, log, pool, fingerprint):
        yield Session(run, plan, store, engine, Runner(store, run, plan, engine, pool), log)
        fingerprint.note(store, run)


def plan_of(run: Run, server: ServerOptions | None = None) -> RunPlan:
    """The plan of a run whose model is to be loaded again.

    Args:
        server: headers, which are not stored, and certificates that may have moved.

    Raises:
        UsageError: its model is gone, or its adapter is another one now.
    """
    plan = RunPlan.model_validate(run.manifest["plan"])
    if server:
        known = plan.engine.server
        now = replace(known, headers=server.headers, ca_file=server.ca_file or known.ca_file)
        plan = plan.model_copy(update={"engine": replace(plan.engine, server=now)})
    model = Path(plan.engine.model)
    if not backends.served(plan.engine.backend) and not model.exists():
        raise UsageError(f"the model of this run is gone: {model}")
    if plan.engine.adapter:
        adapters.check_unchanged(Path(plan.engine.adapter), plan.adapter_sha256)
    return plan


def fetch(evals: Sequence[EvalPlan], stopping: threading.Event | None) -> None:
    """Have the problems at hand before a model is loaded, and wait no longer than they are wanted."""
    errors: list[LocalrlError] = []

    def work() -> None:
        try:
            for part in evals:
                dataset.fetch(part.spec, Path(part.path))
        except LocalrlError as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(timeout=0.1)
        if stopping and stopping.is_set():
            raise Stopped("stopped while the problems were being fetched")
    if errors:
        raise errors[0]


def _informed(store: Store, plan: RunPlan) -> EngineSettings:
    """The plan's settings with what earlier runs and the problems tell."""
    first, longest = estimate.streams(store, plan), longest_stream(plan)
    return replace(plan.engine, first_parallel=first, longest_stream=longest)


def longest_stream(plan: RunPlan) -> int | None:
    """Tokens that no prompt and output exceed, forks left out; None where telling means reading much.

    A token has a byte at least.
    """
    longest = 0
    for part in plan.evals:
        if part.budgets or plan.control.stop_when_sure:
            return None
        for turn, problem in enumerate(dataset.problems(part.spec, Path(part.path), part.limit)):
            if turn == MOST_READ:
                return None
            prompt = sum(len(message.content.encode()) for message in problem.messages)
            longest = max(longest, prompt + TEMPLATE_TOKENS + part.sampling.max_tokens)
    return longest


@contextmanager
def loaded(
    plan: RunPlan, stopping: threading.Event | None, settings: EngineSettings | None = None
) -> Iterator[tuple[EngineClient, Path, VerifierPool, _Fingerprint]]:
    """An engine with the plan's model, by its settings or those given, and verifiers."""
    log = new_log()
    fingerprint = _Fingerprint(Path(plan.engine.model))
    with EngineClient(settings or plan.engine, log, stopping) as engine, VerifierPool() as pool, fingerprint:
        yield engine, log, pool, fingerprint


def create(store: Store, plan: RunPlan, name: str = "") -> Run:
    """Enter a new run into the store; nothing is computed yet."""
    return store.create_run(manifest(plan), name)


def manifest(plan: RunPlan) -> dict[str, Any]:
    """Everything that fixes a run: its plan, and the machine that it begins on."""
    machine = hardware.probe()
    return {
        "plan": plan.model_dump(mode="json", exclude={"engine": {"server": {"headers"}}}),
        "localrl": __version__,
        "hardware": {
            "device": machine.device,
            "memory_bytes": machine.memory_bytes,
            "cpu": machine.cpu,
            "os": machine.os,
        },
    }


def new_log() -> Path:
    """A file for one worker's messages; the oldest logs are removed."""
    folder = paths.ensure(paths.home("state") / "logs")
    for old in sorted(folder.glob("worker-*.log"))[:-20]:
        old.unlink(missing_ok=True)
    return paths.private(folder / f"worker-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.log")


class _Fingerprint:
    """The model file's SHA-256, computed while the run goes on, and cached until the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cancelled = False
        self._thread = threading.Thread(target=self._compute, daemon=True)
        self.sha256: str | None = None

    def note(self, store: Store, run: Run) -> None:
        """Keep the hash with the run, once it is there."""
        if self.sha256 and run.manifest.get("model_sha256") != self.sha256:
            store.update_manifest(run, model_sha256=self.sha256)

    def __enter__(self) -> _Fingerprint:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._cancelled = True
        self._thread.join()

    def _compute(self) -> None:
        if not self._path.is_file():
            return
        self.sha256 = hashes.of(self._path, lambda: self._cancelled) or None

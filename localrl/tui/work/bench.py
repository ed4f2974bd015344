"""A run in a thread: the state that the bench screen reads, and its pause and stop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal, Self, get_args

from localrl.errors import Stopped
from localrl.runs import session
from localrl.runs.plan import RunPlan
from localrl.store.runs import Store
from localrl.tui.work.run_state import RunState

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from localrl.engine.protocol import ServerOptions
    from localrl.runs.runner import Runner
    from localrl.store.runs import Run

Ended = Literal["complete", "partial", "failed", "dropped", "died", "left"]
State = Literal["loading", "running", "paused", "stopping", "watching"] | Ended


class BenchWork:
    """Does a new run, or resumes a stored one. `run` blocks, in a thread; everything else is thread-safe."""

    watching = False
    """Another process works on it."""

    def __init__(
        self, plan: RunPlan, run: Run | None = None, name: str = "", server: ServerOptions | None = None
    ) -> None:
        """
        Args:
            run: a stored run to go on with; None begins a new one.
            server: headers and certificates for going on, which runs do not store.
        """
        self.stored, self.plan, self._name, self._server = run, plan, name, server
        self.run_state = RunState(plan)
        self.state: State = "loading"
        self.log: Path | None = None
        self.worker_pid: int | None = None
        self.on_processor = False
        """The model runs on the CPU that draws the screen: drawing costs tokens."""
        self._runner: Runner | None = None
        self._stopping = threading.Event()

    @classmethod
    def resume(cls, run: Run, server: ServerOptions | None = None) -> Self:
        return cls(RunPlan.model_validate(run.manifest["plan"]), run, server=server)

    @property
    def label(self) -> str:
        return self._name or (self.stored.name or self.stored.id if self.stored else "")

    @property
    def ended(self) -> bool:
        return self.state in get_args(Ended)

    @property
    def lacks_samples(self) -> bool:
        """It has ended and can be resumed."""
        return self.state in ("partial", "failed", "died") and self.stored is not None

    def run(self) -> None:
        """Load the model and work until done or stopped.

        Raises:
            LocalrlError: as `session.work_on` and `Runner.events`; what was counted is safe.
        """
        try:
            self.run_state.look_up_published()
            with Store() as store:
                with self._session(store) as opened:
                    self.stored = opened.run
                    self._work(opened)
                complete = store.find(self.stored.id).status == "complete"
                self.state = "complete" if complete else "partial"
        except Stopped:  # before the model was loaded
            self.state = "partial" if self.stored else "dropped"
        except BaseException:
            self.state = "failed"
            raise

    def pause(self) -> None:
        """Pause, or go on."""
        if self._runner and self.state in ("running", "paused"):
            self._runner.pause(self.state == "running")
            self.state = "paused" if self.state == "running" else "running"

    def stop(self) -> None:
        """Stop after the current step, or stop loading at once; finished samples are kept."""
        if not self.ended:
            self.state = "stopping"
            self._stopping.set()

    def _session(self, store: Store) -> AbstractContextManager[session.Session]:
        if self.stored is None:
            return session.start(store, self.plan, self._name, self._stopping)
        self.run_state.seed(store.rows(self.stored))
        return session.work_on(store, self.stored, self._stopping, self._server)

    def _work(self, opened: session.Session) -> None:
        self._runner, self.log = opened.runner, opened.log
        self.on_processor = opened.engine.info.on_processor
        progress = opened.runner.progress
        self.run_state.publish(progress)
        if self.state == "loading":
            self.state = "running"
        try:
            for event in opened.runner.events():
                self.worker_pid = opened.engine.worker_pid
                self.run_state.take(event, progress)
        finally:
            self.run_state.settle()
            self.run_state.publish(progress)

"""A run of another process, followed in the store; the bench screen shows it without live texts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from localrl.runs.watching import RunWatcher
from localrl.store import locks
from localrl.store.runs import Store
from localrl.tui.work.bench import BenchWork

if TYPE_CHECKING:
    from localrl.store.runs import Run

LOOK_EVERY_S = 1.0
SHARE = 0.1
"""Share of the time that may go into reading: adding up a million samples takes a while."""


class WatchedRun(BenchWork):
    """`run` follows until the other process has ended or `stop` is called."""

    watching = True

    def run(self) -> None:
        try:
            assert self.stored is not None
            self.run_state.look_up_published()
            with Store() as store:
                self._watch(store, self.stored)
        except BaseException:
            self.state = "failed"
            raise

    def pause(self) -> None:
        """Only its own process can."""

    def stop(self) -> None:
        """Stop watching; the run continues."""
        self._stopping.set()

    def _watch(self, store: Store, run: Run) -> None:
        engines = store.sessions(run)[-1:]
        self.on_processor = any(engine.get("on_processor") for engine, _ in engines)
        watch = RunWatcher(store, run)
        self.state = "watching"
        at_work = True
        while at_work and not self._stopping.is_set():
            began = time.monotonic()
            at_work = locks.is_locked(run)  # before `look`, so that it sees everything committed
            self.run_state.seed(watch.look())
            self.run_state.publish(watch.progress)
            took = time.monotonic() - began
            if at_work:
                self._stopping.wait(max(LOOK_EVERY_S, took / SHARE))
        self.stored = store.find(run.id)
        if at_work:
            self.state = "left"
        elif self.stored.status == "running":  # it had no time to say that it ends
            self.state = "died"
        else:
            self.state = "complete" if self.stored.status == "complete" else "partial"

"""A queue of downloads: one at a time, each resumed where it stopped, whichever screen is shown."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from localrl.errors import LocalrlError, Stopped, UsageError

if TYPE_CHECKING:
    from localrl.catalog.pull import Progress

State = Literal["waiting", "asking", "running", "paused", "done", "failed"]


@dataclass(slots=True, eq=False)
class Download:
    name: str
    """As `localrl models pull` takes it."""
    state: State = "waiting"
    progress: Progress | None = None
    error: str = ""
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def share(self) -> float:
        return self.progress.got / self.progress.total if self.progress and self.progress.total else 0.0


class Downloads:
    """`work` is for a thread, and ends when nothing waits; the rest is for the screen."""

    def __init__(self) -> None:
        self.queue: list[Download] = []
        self.working = False
        self._lock = threading.Lock()

    def find(self, name: str) -> Download | None:
        return next((download for download in self.queue if download.name == name), None)

    def add(self, name: str) -> Download:
        """Put a download at the end of the queue, or let one that stopped wait again."""
        download = self.find(name)
        if download is None:
            download = Download(name)
            self.queue.append(download)
        elif download.state in ("paused", "failed"):
            download.state, download.error = "waiting", ""
            download.stop = threading.Event()
        return download

    def pause(self, download: Download) -> None:
        """Stop it where it is, or let it wait for its turn again."""
        if download.state in ("paused", "failed"):
            self.add(download.name)
        elif download.state in ("waiting", "asking", "running"):
            download.state = "paused"
            download.stop.set()

    def cancel(self, download: Download) -> None:
        """Stop it and forget what it has fetched, unless it is complete."""
        done = download.state == "done"
        download.state = "failed"
        download.stop.set()
        self.queue.remove(download)
        if not done:
            threading.Thread(target=_forget, args=(download.name,), daemon=True).start()

    def work(self) -> None:
        """Fetch what waits, one after the other."""
        with self._lock:
            if self.working:
                return
            self.working = True
        try:
            while waiting := next((d for d in self.queue if d.state == "waiting"), None):
                self._fetch(waiting)
        finally:
            self.working = False

    def _fetch(self, download: Download) -> None:
        from localrl.catalog import choose, pull

        download.state = "asking"

        def report(progress: Progress) -> None:
            download.progress = progress

        try:
            choice = choose.parse(download.name)
            if choice is None:
                raise UsageError(f"{download.name} is on no hub")
            job = pull.prepare(choice)
            if download.state == "asking":
                download.state = "running"
                pull.pull(job, report=report, stop=download.stop)
                download.state = "done"
        except Stopped:
            pass  # the state says already why
        except LocalrlError as error:
            if download.state in ("asking", "running"):
                download.state, download.error = "failed", str(error)


def _forget(name: str) -> None:
    from localrl.catalog import choose, hubcache

    if choice := choose.parse(name):
        hubcache.remove_partials(choice.repo)

"""A queue of downloads: one at a time, each resumed where it stopped, whichever screen is shown."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from localrl.errors import LocalrlError, Stopped, UsageError

if TYPE_CHECKING:
    from localrl.catalog.pull import PullPlan, PullProgress

State = Literal["waiting", "asking", "running", "paused", "done", "failed"]


@dataclass(slots=True, eq=False)
class Download:
    name: str
    """As `localrl models pull` takes it."""
    state: State = "waiting"
    progress: PullProgress | None = None
    error: str = ""
    job: PullPlan | None = None
    """What the hub said there is to fetch."""
    cancelled: bool = False
    told: bool = False
    """The person knows that it has failed."""
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def share(self) -> float:
        return self.progress.got / self.progress.total if self.progress and self.progress.total else 0.0


class Downloads:
    """A queue with a daemon thread of its own."""

    def __init__(self) -> None:
        self.queue: list[Download] = []
        self.working = False
        self._current: Download | None = None
        self._lock = threading.Lock()

    def find(self, name: str) -> Download | None:
        return next((download for download in self.queue if download.name == name), None)

    @property
    def under_way(self) -> Download | None:
        """What is fetched now."""
        return next((d for d in self.queue if d.state in ("asking", "running")), None)

    def add(self, name: str) -> Download:
        """Put a download at the end of the queue, or let one that stopped wait again."""
        download = self.find(name)
        if download is None:
            download = Download(name)
            self.queue.append(download)
        elif download.state in ("paused", "failed"):
            download.state, download.error, download.told = "waiting", "", False
            download.stop = threading.Event()
        with self._lock:
            if not self.working:
                self.working = True
                threading.Thread(target=self._work, daemon=True).start()
        return download

    def pause(self, download: Download) -> None:
        """Stop it where it is, or let it wait for its turn again."""
        if download.state in ("paused", "failed"):
            self.add(download.name)
        elif download.state in ("waiting", "asking", "running"):
            download.state = "paused"
            download.stop.set()

    def pause_all(self) -> None:
        for download in self.queue:
            if download.state not in ("paused", "failed"):
                self.pause(download)

    def cancel(self, download: Download) -> None:
        """Stop it and forget what it has fetched, unless it is complete."""
        self.queue.remove(download)
        with self._lock:
            done, under_way = download.state == "done", download is self._current
            download.cancelled, download.state = not done, "failed"
            download.stop.set()
        if not done and not under_way:
            threading.Thread(target=_forget, args=(download,), daemon=True).start()

    def _work(self) -> None:
        """Fetch what waits, one after the other."""
        while download := self._next():
            self._fetch(download)

    def _next(self) -> Download | None:
        with self._lock:
            if self._current and self._current.cancelled:
                _forget(self._current)
            self._current = next((d for d in list(self.queue) if d.state == "waiting"), None)
            self.working = self._current is not None
            if self._current:
                self._current.state = "asking"
            return self._current

    def _fetch(self, download: Download) -> None:
        from localrl.catalog import pull, reference

        stop = download.stop

        def report(progress: PullProgress) -> None:
            download.progress = progress

        try:
            wanted = reference.parse(download.name)
            if wanted is None:
                raise UsageError(f"{download.name} is on no hub")
            download.job = pull.prepare(wanted)
            if download.state == "asking":
                download.state = "running"
                pull.check(pull.pull(download.job, report=report, stop=stop))
                download.state = "done"
        except Stopped:
            pass  # the state says already why
        except Exception as error:  # noqa: BLE001 - whatever it is, the screen says it and the queue goes on
            if download.state in ("asking", "running"):
                words = str(error) if isinstance(error, LocalrlError) else f"{type(error).__name__}: {error}"
                download.state, download.error = "failed", words


def _forget(download: Download) -> None:
    """Remove the parts that it has fetched."""
    from localrl.catalog import hubcache, reference

    if job := download.job:
        repo = job.listing.repo
        parts = {hubcache.partial(repo, file.etag) for file in job.files}
        hubcache.remove_partials(repo, [part for part in hubcache.partials(repo) if part.file in parts])
    elif wanted := reference.parse(download.name):
        with contextlib.suppress(UsageError):  # nothing of it is here
            hubcache.remove_partials(wanted.repo, wanted.cached()[1])

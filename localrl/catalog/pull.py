"""Download what a reference names into the hub's cache: listing, disk check, transfer, hash, name."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localrl.catalog import gguf, hashes, hub, hubcache, shards
from localrl.catalog.locate import find
from localrl.catalog.transfer import RemoteFile, Transfer, Transferred, Tuning
from localrl.errors import NetworkError, StoreError, UsageError
from localrl.formats import size

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from localrl.catalog.reference import Reference

SPARE_BYTES = 1 << 30
"""Left free on the disk."""
SPEED_WINDOW_S = 10.0


@dataclass(frozen=True, slots=True)
class PullProgress:
    path: str
    number: int
    """Of this file, from 1."""
    count: int
    got: int
    """Bytes of all files that are here."""
    total: int
    bytes_per_s: float

    @property
    def eta_s(self) -> float | None:
        return (self.total - self.got) / self.bytes_per_s if self.bytes_per_s > 0 else None


@dataclass(frozen=True, slots=True)
class PulledFile:
    path: Path
    bytes: int
    sha256: str
    resumed_bytes: int
    received_bytes: int


@dataclass(frozen=True, slots=True)
class PullPlan:
    """What a pull would do."""

    wanted: Reference
    listing: hub.Listing
    files: tuple[RemoteFile, ...]

    @property
    def total(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def missing(self) -> int:
        """Bytes to be fetched: finished files and finished parts of files left out."""
        return sum(file.size - _here(self.listing.repo, file) for file in self.files)


def prepare(wanted: Reference, source: hub.HubName | None = None) -> PullPlan:
    """Ask the hub what is meant; where it is out of reach, ModelScope, if the card names a repo there.

    Raises:
        UsageError: no such repo or file, or a token is needed.
        NetworkError: no hub answers.
    """
    listing = _listing_here(wanted) if hub.offline() else _listing(wanted, source)
    chosen = set(wanted.select(file.path for file in listing.files))
    for path in chosen:
        hubcache.check_name(listing.repo, path)
    files = sorted((file for file in listing.files if file.path in chosen), key=_small_first)
    return PullPlan(wanted, listing, tuple(files))


def _listing_here(wanted: Reference) -> hub.Listing:
    """What is complete on this machine, for who does not want the hub to be asked.

    Raises:
        UsageError: it is not here.
    """
    found = find(wanted)
    if found is None:
        raise UsageError(
            f"{wanted.name} is not on this machine, and HF_HUB_OFFLINE is set", hint="unset it to use the hub"
        )
    folder = next(
        folder
        for folder in hubcache.snapshots(wanted.repo)
        if folder in found.path.parents or folder == found.path
    )
    entries = hubcache.files_of(wanted.repo, folder).values()
    files = [RemoteFile("", e.path, e.bytes, e.etag, e.etag if len(e.etag) == 64 else "") for e in entries]
    return hub.Listing(wanted.repo, folder.name, tuple(files))


def _listing(wanted: Reference, source: hub.HubName | None) -> hub.Listing:
    if source == "modelscope":
        return hub.listing(wanted.modelscope or wanted.repo, source="modelscope")
    try:
        return hub.listing(wanted.repo)
    except NetworkError as unreachable:
        if source or not wanted.modelscope:
            raise
        try:
            return hub.listing(wanted.modelscope, source="modelscope")
        except (NetworkError, UsageError):
            raise unreachable from None


def pull(
    plan: PullPlan,
    *,
    tuning: Tuning | None = None,
    report: Callable[[PullProgress], None] | None = None,
    every_s: float = 0.2,
    stop: threading.Event | None = None,
) -> list[PulledFile]:
    """Fetch all files of a plan; what arrived before an error or Ctrl-C is kept.

    Args:
        stop: set by another thread to end this one with `Stopped`.

    Raises:
        StoreError: the disk has too little room, or cannot be written.
        NetworkError, UsageError: as `Transfer.run`.
    """
    _check_disk(plan)
    pulling = _Pulling(plan, tuning, report, every_s, stop or threading.Event())
    try:
        for file in plan.files:
            pulling.pull(file)
        if not hub.offline():
            hubcache.set_main(plan.listing.repo, plan.listing.commit)
    except OSError as error:
        place = error.filename or hubcache.folder(plan.listing.repo)
        raise StoreError(f"cannot write {place}: {error.strerror}", hint="what is here is kept") from error
    return pulling.done


def check(pulled: list[PulledFile]) -> None:
    """Whether llama.cpp may see what was pulled: the hub's bytes may still be no model.

    Raises:
        UsageError: says what is wrong with it.
    """
    for file in pulled:
        if file.path.suffix == ".gguf" and shards.number(file.path.name) == 1:
            gguf.preflight(file.path)


@dataclass(slots=True)
class _Pulling:
    """A pull under way, one file after the other."""

    plan: PullPlan
    tuning: Tuning | None
    report: Callable[[PullProgress], None] | None
    every_s: float
    stop: threading.Event
    done: list[PulledFile] = field(default_factory=list)

    def pull(self, file: RemoteFile) -> None:
        from filelock import FileLock, Timeout

        repo, speed = self.plan.listing.repo, _Speed()
        if here := self._here(file):
            self.done.append(here)
            return
        blob, partial = hubcache.blob(repo, file.etag), hubcache.partial(repo, file.etag)
        lock = hubcache.root() / ".locks" / hubcache.folder(repo).name / f"{file.etag}.lock"
        for path in (blob, lock):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(lock, timeout=0):
                if _is_complete(blob, file):
                    arrived = Transferred(file.size, 0, hashes.of(blob))
                else:
                    arrived = self._transfer(file, partial, speed)
                    partial.replace(blob)
                    hashes.remember(blob, arrived.sha256)
                path = hubcache.link(repo, self.plan.listing.commit, file.path, file.etag)
        except Timeout as error:
            raise UsageError(f"{file.path} is being downloaded by another program") from error
        self._tell(file, file.size, speed)
        self.done.append(
            PulledFile(path, file.size, arrived.sha256, arrived.resumed_bytes, arrived.received_bytes)
        )
        if file.path.endswith("config.json"):
            check_config(path)

    def _here(self, file: RemoteFile) -> PulledFile | None:
        """A file that is complete under its name: nothing has to be written for it, not even a lock."""
        repo = self.plan.listing.repo
        blob = hubcache.blob(repo, file.etag)
        named = hubcache.files_of(repo, hubcache.folder(repo) / "snapshots" / self.plan.listing.commit)
        found = named.get(file.path)
        if found is None or found.file.resolve() != blob.resolve() or not _is_complete(blob, file):
            return None
        return PulledFile(found.file, file.size, hashes.of(blob), file.size, 0)

    def _transfer(self, file: RemoteFile, partial: Path, speed: _Speed) -> Transferred:
        transfer = Transfer(file, partial, token=hub.token(), tuning=self.tuning)
        over = threading.Event()

        def watch() -> None:
            while not over.wait(self.every_s):
                self._tell(file, transfer.got, speed)
                if self.stop.is_set():
                    transfer.stop()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            return transfer.run()
        finally:
            over.set()
            watcher.join()

    def _tell(self, file: RemoteFile, got: int, speed: _Speed) -> None:
        if self.report:
            before = sum(pulled.bytes for pulled in self.done)
            rate = speed.after(got)
            number, files = len(self.done) + 1, len(self.plan.files)
            self.report(PullProgress(file.path, number, files, before + got, self.plan.total, rate))


def _is_complete(blob: Path, file: RemoteFile) -> bool:
    """Whether a file is here, and still what it was when it was checked."""
    if not blob.is_file() or blob.stat().st_size != file.size:
        return False
    return not file.sha256 or hashes.of(blob) == file.sha256


def check_config(path: Path) -> None:
    """Refuse a model whose configuration asks for code from its repo (CVE-2026-5843).

    Raises:
        UsageError: it does.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path.name} is not JSON", hint="pull it again") from error
    for key in ("auto_map", "model_file"):
        if isinstance(config, dict) and key in config:
            raise UsageError(
                f"the model wants to run code of its own ({key} in {path.name})",
                hint="localrl never runs code from repos; take another conversion of the model",
            )


def _check_disk(plan: PullPlan) -> None:
    folder = hubcache.root()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if plan.missing and plan.missing + SPARE_BYTES > free:
        raise StoreError(
            f"{plan.wanted.name} needs {size(plan.missing)} more, {folder} has {size(free)} free",
            hint="free space with `localrl models rm`, or set HF_HUB_CACHE to another disk",
        )


def _here(repo: str, file: RemoteFile) -> int:
    from localrl.catalog import journal

    blob = hubcache.blob(repo, file.etag)
    if blob.is_file() and blob.stat().st_size == file.size:
        changed = file.sha256 and hashes.known(blob) not in ("", file.sha256)
        return 0 if changed else file.size
    partial = hubcache.partial(repo, file.etag)
    return journal.Journal(partial, file.size, file.etag).read().total()


def _small_first(file: RemoteFile) -> tuple[bool, str]:
    """Descriptions before weights, so that a model is refused before its gigabytes."""
    return not file.path.endswith((".json", ".jinja")), file.path


class _Speed:
    """Bytes a second over the last seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def after(self, got: int) -> float:
        now = time.monotonic()
        self._points.append((now, got))
        while len(self._points) > 2 and now - self._points[0][0] > SPEED_WINDOW_S:
            self._points.popleft()
        began, first = self._points[0]
        return (got - first) / (now - began) if now > began else 0.0

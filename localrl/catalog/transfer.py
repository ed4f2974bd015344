"""Bring one file here, over any number of interruptions, without fetching a byte twice or trusting one.

Several connections fetch ranges of it into a partial file; a journal beside it says which bytes are on disk,
so a later attempt asks only for the rest, whether the connection, the program or the machine failed. A thread
hashes the bytes as they become contiguous. The file gets its name only when its hash is the hub's.

huggingface-hub 2.4 keeps one temporary file per attempt and removes it on failure (its issue #4196), which at
20 to 400 GB means starting over: hence this module.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localrl import paths
from localrl.catalog import journal
from localrl.catalog.web import BROKEN, Web, describe, origin, retry_after
from localrl.errors import LocalrlError, NetworkError, Stopped, StoreError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from urllib3.response import BaseHTTPResponse

RETRIED = (408, 425, 429, 500, 502, 503, 504)
READ_BYTES = 1 << 20
HASHED_BYTES = 4 << 20
WHOLE_FILE_ANSWERS = 3
"""After so many answers that ignore the range, the server is taken not to know ranges."""
WRONG_SIZES = 3
"""A size that differs from the listing so often is not a passing fault."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How hard to try; the defaults are for the internet, tests are less patient."""

    connections: int = 4
    piece_bytes: int = 64 << 20
    stall_s: float = 10.0
    """Seconds without a byte after which a connection counts as lost: huggingface-hub's own."""
    attempts: int = 8
    """Failures in a row, without one byte gained, that end the download."""
    backoff_s: float = 0.5
    longest_wait_s: float = 300.0
    journal_s: float = 0.1
    flush_s: float = 10.0
    """Seconds of downloading that a loss of power may cost."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file on a hub."""

    url: str
    path: str
    """Inside its repo."""
    size: int
    etag: str
    """Its name among the cache's blobs: the SHA-256, or git's SHA-1 for small text files."""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Transferred:
    resumed_bytes: int
    received_bytes: int
    sha256: str


class ContentMismatch(Exception):
    """What arrived is not what the hub promised."""


class Transfer:
    """The download of one file; `run` blocks, `got` may be read from another thread meanwhile."""

    def __init__(
        self, remote: RemoteFile, partial: Path, *, token: str = "", tuning: Tuning | None = None
    ) -> None:
        self.remote, self._partial = remote, partial
        self._journal = journal.Journal(partial, remote.size, remote.etag, remote.path)
        self._token, self._tuning = token, tuning or Tuning()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._moved = threading.Condition(self._lock)
        self._taken: list[journal.Range] = []
        self._error: Exception | None = None
        self._failures = 0
        self._workers = 1
        self._not_before = 0.0
        self._location = ""
        self._whole_file_answers = self._wrong_sizes = 0
        self.received = 0
        self._have = journal.Ranges()

    @property
    def got(self) -> int:
        """Bytes on disk, those of earlier attempts included."""
        with self._lock:
            return self._have.total()

    def stop(self) -> None:
        """End `run` with `Stopped`; may come from any thread."""
        self._give_up(Stopped(f"{self.remote.path} was stopped; what is here is kept"))

    def run(self) -> Transferred:
        """Fetch what is missing, check it all, and leave the partial file complete.

        Raises:
            NetworkError: no progress after several attempts, or the bytes are not the promised ones; the
                partial file stays.
            UsageError: the file needs a token, or does not exist.
            KeyboardInterrupt: what is here is kept.
        """
        resumed = 0
        for last in (False, True):
            self._have = self._journal.read()
            resumed = resumed or self._have.total()
            try:
                sha256 = self._fetch_all()
            except ContentMismatch as error:
                # A wrong byte cannot be found again: nothing of the file can be trusted.
                self._journal.clear()
                if last:
                    raise NetworkError(
                        f"{self.remote.path}: {error}", hint="the server sends other bytes than the hub lists"
                    ) from error
            else:
                self._journal.clear()
                return Transferred(resumed, self.received, sha256)
        raise AssertionError("unreachable")

    # -- the file

    def _fetch_all(self) -> str:
        self._error, self._taken, self._failures = None, [], 0
        self._stop.clear()
        threads: list[threading.Thread] = []
        file = paths.open_no_follow(self._partial, os.O_RDWR)
        try:
            os.truncate(file, self.remote.size)
            digests: list[str] = []
            client = Web(connections=self._tuning.connections, stall_s=self._tuning.stall_s)
            with contextlib.closing(client):
                count = max(1, min(self._tuning.connections, self._pieces_left()))
                self._workers = count
                jobs = [(self._work, (client, file))] * count + [(self._hash, (file, digests))]
                threads = [threading.Thread(target=job, args=args, daemon=True) for job, args in jobs]
                for thread in threads:
                    thread.start()
                try:
                    self._keep_journal(file, threads)
                finally:
                    self._halt()
                    for thread in threads:
                        thread.join(timeout=1.0)
                    if len(digests) == 0:
                        with contextlib.suppress(OSError):  # a full disk is told by whoever met it first
                            self._flush(file)
            if self._error:
                raise self._error
            sha256, git = digests
            if (sha256 if self.remote.sha256 else git) != self.remote.etag:
                raise ContentMismatch("its hash is not the one that the hub lists")
            return sha256
        finally:
            # A connection that still waits for bytes may wake up later: leave it its file.
            if not any(thread.is_alive() for thread in threads):
                os.close(file)

    def _pieces_left(self) -> int:
        missing = self.remote.size - self._have.total()
        return -(-missing // self._tuning.piece_bytes)

    def _keep_journal(self, file: int, threads: list[threading.Thread]) -> None:
        flush_due = time.monotonic() + self._tuning.flush_s
        while alive := [thread for thread in threads if thread.is_alive()]:
            alive[0].join(timeout=self._tuning.journal_s)
            with self._lock:
                here = self._have.copy()
            try:
                self._journal.record(here)
                if time.monotonic() >= flush_due:
                    self._flush(file)
                    flush_due = time.monotonic() + self._tuning.flush_s
            except OSError as error:
                self._give_up(self._unwritable(error))
                return

    def _flush(self, file: int) -> None:
        """The ranges are read before the file is flushed: the journal never promises more than is on disk."""
        with self._lock:
            here = self._have.copy()
        (getattr(os, "fdatasync", None) or os.fsync)(file)
        self._journal.record_flushed(here)

    def _hash(self, file: int, digests: list[str]) -> None:
        """Hash the bytes in order as they arrive."""
        digest = hashlib.sha256()
        # Small text files have no SHA-256 on the hub: it names them by git's blob hash.
        git = None if self.remote.sha256 else hashlib.sha1(f"blob {self.remote.size}\0".encode())
        done = 0
        while done < self.remote.size:
            with self._moved:
                while self._have.frontier() <= done and not self._stop.is_set():
                    self._moved.wait()
                frontier = self._have.frontier()
            if self._stop.is_set() and frontier < self.remote.size:
                return
            while done < frontier:
                block = self._read_back(file, done, min(HASHED_BYTES, frontier - done))
                if not block:
                    return
                digest.update(block)
                if git:
                    git.update(block)
                done += len(block)
        digests += [digest.hexdigest(), git.hexdigest() if git else ""]

    def _read_back(self, file: int, offset: int, length: int) -> bytes:
        try:
            block = os.pread(file, length, offset)
        except OSError as error:
            self._give_up(StoreError(f"cannot read {self._partial}: {error.strerror}"))
            return b""
        if not block:
            self._give_up(StoreError(f"{self._partial} was cut by another program", hint="pull again"))
        return block

    # -- the connections

    def _work(self, client: Web, file: int) -> None:
        try:
            while (piece := self._next_piece()) is not None:
                try:
                    self._fetch(client, file, piece)
                except (BROKEN, Retry) as error:
                    self._failed(error)
                finally:
                    with self._lock:
                        self._taken.remove(piece)
        except (LocalrlError, ContentMismatch) as error:
            self._give_up(error)
        except OSError as error:
            self._give_up(self._unwritable(error))

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(
            f"cannot write {self._partial.parent}: {error.strerror}",
            hint="what is here is kept; free some space and pull again",
        )

    def _give_up(self, error: Exception) -> None:
        """Stop all connections; the thread that called `run` raises the first such error."""
        with self._lock:
            self._error = self._error or error
        self._halt()

    def _next_piece(self) -> journal.Range | None:
        """The first missing bytes that nobody else fetches; None when there is nothing left to start."""
        while not self._stop.is_set():
            with self._lock:
                if self._taken and self._whole_file_answers >= WHOLE_FILE_ANSWERS:
                    return None  # the server knows no ranges: one connection has to do
                busy = journal.Ranges(self._have.copy() + self._taken)
                for start, end in busy.gaps(self.remote.size):
                    piece = (start, min(end, start + self._tuning.piece_bytes))
                    self._taken.append(piece)
                    return piece
                if not self._taken:
                    return None
            time.sleep(0.02)  # others are still fetching; what they fail to get comes back
        return None

    def _fetch(self, client: Web, file: int, piece: journal.Range) -> None:
        start, end = piece
        self._wait_turn()
        response = self._open(client, f"bytes={start}-{end - 1}")
        position = -1
        try:
            position = self._check_range(response, start)
            if self._whole_file_answers >= WHOLE_FILE_ANSWERS:
                end = self.remote.size
            while block := response.read1(READ_BYTES):
                if self._stop.is_set():
                    return
                useful = block[max(0, start - position) : max(0, end - position)]
                if useful:
                    os.pwrite(file, useful, max(start, position))
                self._gained(max(start, position), len(useful), len(block))
                position += len(block)
                if position >= end:
                    return
            raise Retry("the connection ended early")
        finally:
            if position == end and response.status == 206:
                response.release_conn()  # its answer is read to the end: the next piece may use it
            else:
                response.close()

    def _gained(self, start: int, length: int, received: int) -> None:
        with self._moved:
            self.received += received
            if length:
                self._have.add(start, start + length)
                self._failures = self._wrong_sizes = 0
                self._moved.notify_all()

    def _open(self, client: Web, wanted: str) -> BaseHTTPResponse:
        url = self._location or self.remote.url
        response, url = client.get(url, home=self.remote.url, token=self._token, wanted=wanted)
        if response.status in (200, 206):
            self._location = url  # signed addresses serve many ranges
            return response
        response.close()
        self._refused(response)
        raise Retry(f"the server answered {response.status}")

    def _refused(self, response: BaseHTTPResponse) -> None:
        """Raise what cannot be mended by asking again; note how long to wait for the rest."""
        status = response.status
        if self._location and status in (401, 403, 404, 410):
            self._location = ""  # the signed address has expired: ask the hub for a new one
            return
        if status in (401, 403):
            hint = "the token may not read it:" if self._token else "set HF_TOKEN, and"
            raise UsageError(
                f"{self.remote.path} is not open to everyone ({status})",
                hint=f"{hint} accept the model's terms on its page",
            )
        if status in (404, 410):
            raise UsageError(f"{self.remote.path} is not at {origin(self.remote.url)} ({status})")
        if status == 416:
            raise ContentMismatch("the server's file is shorter than the hub lists")
        if status not in RETRIED:
            raise NetworkError(f"{self.remote.path}: the server answered {status}")
        wait = retry_after(response.headers.get("retry-after", ""))
        if wait > self._tuning.longest_wait_s:
            raise NetworkError(f"the hub asks to wait {wait:.0f} s ({status})", hint="pull again later")
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + wait)

    def _check_range(self, response: BaseHTTPResponse, start: int) -> int:
        """The offset of the first byte that comes; refuses answers about another file or range."""
        if response.status == 200:
            if response.headers.get("content-encoding", "identity") == "identity":  # else not the file's
                self._check_size(response.headers.get("content-length", ""))
            if start == 0:
                return 0
            with self._lock:
                self._whole_file_answers += 1
                if self._whole_file_answers < WHOLE_FILE_ANSWERS:
                    raise Retry("the server ignored the range")
            return 0  # it always does: skip what is already here
        found = response.headers.get("content-range", "").removeprefix("bytes ")
        span, _, total = found.partition("/")
        self._check_size(total)
        if not span.startswith(f"{start}-"):
            raise Retry(f"the server sent the range {found!r}")
        return start

    def _check_size(self, total: str) -> None:
        if not total.isdigit() or int(total) == self.remote.size:
            return
        what = f"the server has {total} bytes, the hub lists {self.remote.size}"
        with self._lock:
            self._wrong_sizes += 1
            if self._wrong_sizes >= WRONG_SIZES:
                raise NetworkError(
                    f"{self.remote.path}: {what}", hint="what is here is kept; pull again later"
                )
        raise Retry(what)

    def _failed(self, error: Exception) -> None:
        """Wait before the next request, longer each time, or give up."""
        with self._lock:
            self._failures += 1
            failures = -(-self._failures // self._workers)  # all connections tend to fail together
        if failures > self._tuning.attempts:
            self._give_up(
                NetworkError(
                    f"{self.remote.path}: {describe(error)}, {failures} times in a row",
                    hint="what is here is kept; pull again to go on",
                )
            )
            return
        wait = min(30.0, self._tuning.backoff_s * 2 ** (failures - 1)) * random.uniform(0.5, 1.0)
        self._stop.wait(wait)

    def _wait_turn(self) -> None:
        while (left := self._not_before - time.monotonic()) > 0:
            if self._stop.wait(min(left, 0.5)):
                return

    def _halt(self) -> None:
        self._stop.set()
        with self._moved:
            self._moved.notify_all()


class Retry(Exception):
    """This request failed in a way that another may not."""

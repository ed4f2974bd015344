"""Only one process works on a run at a time; a lock that ends with its process says which, and whether."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from localrl import paths
from localrl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.store.references import HasName

LOOKED_AT_S = 0.3
"""Nobody looks at a lock for longer."""


@contextmanager
def lock(run: HasName) -> Iterator[None]:
    """Let only one process work on a run or a training at a time.

    Raises:
        UsageError: another process does.
    """
    folder = paths.ensure(paths.home("state") / "locks")
    with paths.private(folder / run.id).open("a+") as file:
        _take(file, run)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _take(file: TextIO, run: HasName) -> None:
    """Lock a file that is ours as long as this process lives. `is_locked` may hold it for an instant."""
    deadline = time.monotonic() + LOOKED_AT_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() < deadline:
                time.sleep(0.01)
                continue
            file.seek(0)
            raise UsageError(
                f"run {run.id} is being worked on by another localrl (process {file.read() or 'unknown'})",
                hint="stop that one first, or watch the run on the Bench screen of `localrl`",
            ) from error
        return


def is_locked(run: HasName) -> bool:
    """Whether a process works on the run, or the training, now."""
    path = paths.home("state") / "locks" / run.id
    if not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: several may look at the same time
        except OSError:
            return True
        return False

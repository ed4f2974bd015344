"""The contract of a mechanism: it turns a command inside the sandbox into one that this system can start."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.sandbox.limits import Limits


@dataclass(frozen=True, slots=True)
class Usage:
    """What a running program uses now."""

    threads: int = 0
    resident_bytes: int = 0
    inodes: int = 0
    waited_s: float = 0.0
    """How long it was ready to run while others had the processors, since it started."""


def waited_s(pid: int | str) -> float:
    """That time, of the thread that waited longest, by Linux's account (/proc/PID/task/TID/schedstat, ns)."""
    found = 0.0
    for account in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, IndexError):
            found = max(found, int(account.read_text(encoding="ascii").split()[1]) / 1e9)
    return found


class Mechanism(Protocol):
    """One file in `sandbox/` each."""

    name: str
    covers: str
    """One line for people: what holds a program in, and what does not."""

    def missing(self) -> str:
        """Why it cannot be used here and what to do about it; empty when it can be tried."""
        ...

    def command(self, words: Sequence[str], limits: Limits) -> tuple[list[str], list[int]]:
        """The command that runs `start.py WORDS`, and the open descriptors that it needs.

        The caller closes the descriptors once the command has started.
        """
        ...

    def usage(self, pid: int) -> Usage:
        """What the program uses whose command runs as `pid`; zeros for what cannot be known."""
        ...

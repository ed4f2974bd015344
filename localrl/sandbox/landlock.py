"""Linux where user namespaces are not to be had (Ubuntu 24.04, most containers): Landlock, seccomp, rlimits.

The program confines itself before its first instruction: it may read the interpreter's files and `/dev/null`,
and write nowhere. It still sees that other paths and processes exist, but not what is in them. As root it
gives up every capability. The number of its threads is watched from outside, since the kernel does not limit
root's and counts all of a user's together.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from localrl.sandbox import interpreter
from localrl.sandbox.inside import seccomp
from localrl.sandbox.mechanism import Usage, waited_s

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from localrl.sandbox.limits import Limits

_DEVICES = ("/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@dataclass
class Landlock:
    name: str = "landlock"
    covers: str = (
        "no reading or writing outside, no new processes, no sockets, no signals, limited memory, time and "
        "output; programs that write files fail; not covered: which files exist, bugs in the kernel"
    )

    newest: int = 99
    """The newest version of Landlock to use: by it tests see that an older kernel's holes are closed."""

    def missing(self) -> str:
        if sys.platform != "linux":
            return "Landlock is for Linux"
        from localrl.sandbox.inside.confine import landlock_abi

        if not landlock_abi():
            return (
                "this kernel has no Landlock (Linux 5.13 or newer, with landlock among its security modules)"
            )
        return seccomp.missing()

    def command(self, words: Sequence[str], limits: Limits) -> tuple[list[str], list[int]]:
        python = str(interpreter.current().executable)
        start = [python, *interpreter.FLAGS, str(interpreter.INSIDE / "start.py"), *words]
        known = [f"machine={platform.machine()}", f"parent={os.getpid()}", f"newest={self.newest}"]
        return [*start, *self._grants, *known], []

    def usage(self, pid: int) -> Usage:
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        except OSError:
            return Usage()
        found = dict(re.findall(r"^(Threads|VmRSS):\s*(\d+)", status, re.MULTILINE))
        threads, resident = int(found.get("Threads", 0)), int(found.get("VmRSS", 0)) * 1024
        return Usage(threads=threads, resident_bytes=resident, waited_s=waited_s(pid))

    @cached_property
    def _grants(self) -> list[str]:
        """What may be read; a folder with a hidden one in it may be listed, and its other parts read."""
        python = interpreter.current()
        read = [part for root in python.roots for part in _without(root, python.hidden)]
        read += [*python.packages, *python.libraries, *map(Path, _DEVICES)]
        words = [f"read={path}" for path in read]
        return words + [f"listed={root}" for root in python.roots] + ["written=/dev/null"]


def _without(folder: Path, hidden: Sequence[Path]) -> Iterator[Path]:
    if folder in hidden:
        return
    if not any(path.is_relative_to(folder) for path in hidden):
        yield folder
        return
    for part in sorted(folder.iterdir()):
        yield from _without(part, hidden)

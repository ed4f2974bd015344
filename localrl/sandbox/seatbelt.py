"""macOS: `sandbox-exec` with a profile that denies by default, and a watch on memory from outside.

Address space cannot be limited there, so resident memory is looked at every 50 ms; a program may exceed it
for that long. Programs cannot write files. When localrl is killed outright, a program may outlive it until
its processor time is used up.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from localrl.sandbox import interpreter
from localrl.sandbox.mechanism import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from localrl.sandbox.limits import Limits

_TOOL = Path("/usr/bin/sandbox-exec")
_SYSTEM = (
    "/usr/lib",
    "/usr/share/zoneinfo",
    "/usr/share/locale",
    "/System/Library",
    "/System/Volumes/Preboot/Cryptexes",
    "/private/var/db/dyld",
    "/private/var/db/timezone",
    "/opt/homebrew/opt",
    "/opt/homebrew/lib",
    "/opt/homebrew/Cellar",
    "/usr/local/opt",
    "/usr/local/Cellar",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


@dataclass
class Seatbelt:
    name: str = "seatbelt"
    covers: str = (
        "no reading or writing outside, no new processes, no sockets, no signals, limited time and output; "
        "memory watched from outside; programs that write files fail; not covered: bugs in the kernel"
    )

    def missing(self) -> str:
        if sys.platform != "darwin":
            return "Seatbelt is for macOS"
        return "" if _TOOL.is_file() else f"{_TOOL} is not there"

    def command(self, words: Sequence[str], limits: Limits) -> tuple[list[str], list[int]]:
        python = str(interpreter.current().executable)
        start = [python, *interpreter.FLAGS, str(interpreter.INSIDE / "start.py")]
        useful = [word for word in words if not word.startswith("memory=")]
        return [str(_TOOL), "-p", self._profile, *start, *useful], []

    def usage(self, pid: int) -> Usage:
        import psutil

        try:
            process = psutil.Process(pid)
            return Usage(threads=process.num_threads(), resident_bytes=process.memory_info().rss)
        except psutil.Error:
            return Usage()

    @cached_property
    def _profile(self) -> str:
        """The last rule that fits a call decides."""
        python = interpreter.current()
        base = Path(os.path.realpath(sys.base_prefix))
        shown = [*python.roots, base, python.executable, *map(Path, _SYSTEM + _DEVICES)]
        packages = [interpreter.INSIDE, *python.packages, *python.libraries]  # itself may be installed
        return "\n".join(
            [
                "(version 1)",
                "(deny default)",
                "(deny process-fork)",
                f"(allow process-exec {_paths([base, python.executable])})",
                "(allow signal (target self))",
                "(allow sysctl-read)",
                "(allow file-read-metadata)",
                '(allow file-read-data (literal "/"))',
                f"(allow file-read* file-map-executable {_paths(shown)})",
                '(deny file-read-data (regex #"/(site|dist)-packages/"))',
                f"(allow file-read* file-map-executable {_paths(packages)})",
                '(allow file-write-data (literal "/dev/null"))',
            ]
        )


def _paths(paths: Iterable[Path]) -> str:
    return " ".join(f"(subpath {_quoted(os.path.realpath(path))})" for path in dict.fromkeys(paths))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

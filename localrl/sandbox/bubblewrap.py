"""Linux, first choice: bubblewrap (user, mount, pid, network and ipc namespaces), seccomp and rlimits.

The program is process 1 of its own world. It sees the interpreter's files read-only, its own `/proc`, a small
`/dev` and `/tmp`, and nothing else; when bubblewrap dies, or localrl, the kernel kills it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from localrl.sandbox import interpreter
from localrl.sandbox.blob import Blob
from localrl.sandbox.inside import seccomp
from localrl.sandbox.limits import MIB
from localrl.sandbox.mechanism import Usage, waited_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.sandbox.limits import Limits

_OLDEST = (0, 8)  # the first with --disable-userns
_INSIDE = "/inside"
_ISOLATION = [
    *("--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL", "--clearenv"),
    *("--die-with-parent", "--new-session", "--as-pid-1", "--hostname", "sandbox"),
]
_WRITABLE = [
    *("--size", str(MIB), "--tmpfs", "/dev/shm"),
    *("--size", str(64 * MIB), "--tmpfs", "/tmp", "--chdir", "/tmp"),
]
_KERNEL_FILES = tuple(
    f"/proc/{name}"
    for name in (
        *("config.gz", "iomem", "ioports", "kallsyms", "kcore", "key-users", "keys", "kmsg", "kpagecgroup"),
        *("kpagecount", "kpageflags", "locks", "modules", "pagetypeinfo", "sched_debug", "slabinfo"),
        *("sysrq-trigger", "timer_list", "vmallocinfo"),
    )
)
"""What tells of the kernel's memory and of other users."""
_INSTALL = "install it (Debian and Ubuntu: sudo apt-get install bubblewrap)"


@dataclass
class Bubblewrap:
    name: str = "bubblewrap"
    covers: str = (
        "own files, processes and network; no reading or writing outside, no new processes, no sockets, "
        "limited memory, time, disk and output; not covered: bugs in the kernel"
    )

    def missing(self) -> str:
        if sys.platform != "linux":
            return "bubblewrap is for Linux"
        path = shutil.which("bwrap")
        if path is None:
            return f"bubblewrap is not installed; {_INSTALL}"
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
        version = tuple(map(int, re.findall(r"\d+", said)[:2]))
        if version < _OLDEST:
            return f"{said.strip() or path} is too old; bubblewrap 0.8 or newer is needed"
        return seccomp.missing()

    def command(self, words: Sequence[str], limits: Limits) -> tuple[list[str], list[int]]:
        rules = self._rules.open()
        start = [str(interpreter.current().executable), *interpreter.FLAGS, f"{_INSIDE}/start.py"]
        command = [
            *self._prefix,
            "--seccomp",
            str(rules),
            "--",
            *start,
            *words,
            f"processes={limits.threads}",
        ]
        return command, [rules]

    def usage(self, pid: int) -> Usage:
        try:
            child = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
            threads = re.search(r"^Threads:\s*(\d+)", Path(f"/proc/{child}/status").read_text(), re.MULTILINE)
            disk = os.statvfs(f"/proc/{child}/root/tmp")
        except (OSError, IndexError):
            return Usage()
        count = int(threads[1]) if threads else 0
        return Usage(threads=count, inodes=disk.f_files - disk.f_ffree, waited_s=waited_s(child))

    @cached_property
    def _rules(self) -> Blob:
        return Blob(seccomp.program())

    @cached_property
    def _prefix(self) -> list[str]:
        """Everything up to the program: the same for every run."""
        python = interpreter.current()
        command = [shutil.which("bwrap") or "bwrap", *_ISOLATION]
        for key, value in interpreter.environment().items():
            command += ["--setenv", key, value]
        command += ["--proc", "/proc", "--dev", "/dev", *_WRITABLE]  # first, for Python may be below /tmp
        for root in (*python.roots, python.executable):
            command += ["--ro-bind", str(root), str(root)]
        for hidden in python.hidden:
            command += ["--size", "4096", "--tmpfs", str(hidden)]
        for shown in (*python.packages, *python.libraries):
            command += ["--ro-bind", str(shown), str(shown)]
        for link in ("/lib", "/lib64"):
            if Path(link).is_symlink():
                command += ["--symlink", str(Path(link).readlink()), link]
        command += ["--ro-bind", str(interpreter.INSIDE), _INSIDE]
        for file in _KERNEL_FILES:  # root may read them, in whatever namespace
            if Path(file).exists():
                command += ["--ro-bind", "/dev/null", file]
        for closed in (*map(str, python.hidden), "/proc", "/dev", "/"):
            command += ["--remount-ro", closed]
        return command

"""Run programs that nobody has read: the one door through which localrl executes a model's code.

    sandbox.acquire()    the sandbox in force, after its canaries have passed
    sandbox.probe()      what `localrl doctor` says about it

It covers: the user's files (neither read nor changed), the network, other processes, the environment, new
processes, and floods of memory, threads, time, output, files and descriptors; all that a program started is
gone when its run is over, also when localrl is killed (on macOS, within its processor time).

It does not cover: bugs in the kernel, in bubblewrap or in the processor; time and power spent within the
limits; what timing gives away; and, where there is no bubblewrap, which files and processes exist.

Mechanisms, the first that works: bubblewrap with seccomp (Linux), Landlock with seccomp (Linux without user
namespaces), Seatbelt (macOS). Anything else, an unknown processor, or one canary that gets out: no code runs.
"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localrl.errors import LocalrlError, Unavailable
from localrl.sandbox.blob import Blob
from localrl.sandbox.limits import Limits
from localrl.sandbox.process import End, Ended, Process, ProcessResult, SandboxError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.sandbox.mechanism import Mechanism

__all__ = [
    "Blob",
    "End",
    "Ended",
    "Limits",
    "Probe",
    "Process",
    "ProcessResult",
    "Sandbox",
    "SandboxError",
    "acquire",
    "mechanisms",
    "probe",
]


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A mechanism whose canaries have passed."""

    mechanism: Mechanism

    @property
    def name(self) -> str:
        return self.mechanism.name

    def run(self, source: Blob, stdin: Blob, limits: Limits, before: str = "") -> ProcessResult:
        """Run a program to its end, in the calling thread; `before` are statements that come first.

        Raises:
            SandboxError: the sandbox failed, which says nothing about the program.
        """
        descriptor = stdin.open()
        try:
            with Process(
                self.mechanism, "program", source, limits, descriptor, [f"before={before}"]
            ) as process:
                return process.wait()
        finally:
            os.close(descriptor)

    def calls(self, source: Blob, function: str, limits: Limits, before: str = "") -> Process:
        """A program that answers calls of its function; see `inside/serve.py` for the messages."""
        options = [f"function={function}", f"before={before}"]
        return Process(self.mechanism, "calls", source, limits, options=options)

    def judge(self, source: Blob, function: str, limits: Limits) -> Process:
        """A `check(candidate)` that asks for calls; see `inside/serve.py` for the messages."""
        return Process(self.mechanism, "judge", source, limits, options=[f"function={function}"])


@dataclass(frozen=True, slots=True)
class Probe:
    """What `localrl doctor` says about the sandbox."""

    name: str
    """The mechanism in force; empty when there is none."""
    covers: str
    refused: dict[str, str]
    """For each mechanism that was tried and is not in force, why, and what to do."""


_lock = threading.Lock()
_acquired: Sandbox | None = None


def mechanisms() -> list[Mechanism]:
    """All that there are, the best first."""
    from localrl.sandbox.bubblewrap import Bubblewrap
    from localrl.sandbox.landlock import Landlock
    from localrl.sandbox.seatbelt import Seatbelt

    return [Bubblewrap(), Landlock(), Seatbelt()]


def acquire() -> Sandbox:
    """The best sandbox of this machine; its canaries are run once per process. Safe to call from any thread.

    Raises:
        Unavailable: there is none; says why, and what to install.
    """
    global _acquired
    with _lock:
        if _acquired is None:
            _acquired, refused = _first_that_holds(mechanisms())
            if _acquired is None:
                reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
                raise Unavailable(f"no sandbox to run code in ({reasons})", hint=_hint())
        return _acquired


def probe() -> Probe:
    """The same search, told instead of raised."""
    found, refused = _first_that_holds(mechanisms())
    return Probe(found.name if found else "", found.mechanism.covers if found else "", refused)


def checked(mechanism: Mechanism) -> Sandbox:
    """A sandbox of one mechanism.

    Raises:
        SandboxError: it cannot be used here, or a canary got out.
    """
    from localrl.sandbox.canaries import holes

    if reason := mechanism.missing():
        raise SandboxError(reason)
    sandbox = Sandbox(mechanism)

    def run(source: str, stdin: bytes, limits: Limits) -> ProcessResult:
        with Blob(source.encode()) as program, Blob(stdin) as given:
            return sandbox.run(program, given, limits)

    if found := holes(run):
        raise SandboxError(f"a program in it can {', '.join(found)}")
    return sandbox


def _first_that_holds(candidates: Sequence[Mechanism]) -> tuple[Sandbox | None, dict[str, str]]:
    refused: dict[str, str] = {}
    for mechanism in candidates:
        try:
            return checked(mechanism), refused
        except (LocalrlError, OSError) as error:
            refused[mechanism.name] = str(error)
    return None, refused


def _hint() -> str:
    if sys.platform == "linux":
        return "install bubblewrap (Debian and Ubuntu: sudo apt-get install bubblewrap)"
    if sys.platform == "win32":
        return "run localrl inside WSL2 with bubblewrap installed"
    return "code can be run on Linux and macOS"

"""Programs that attack the machine: what they try fails, nothing outside changes, no process is left.

Each prints ESCAPED only when its attack worked, and its target expects just that: `correct` means a hole.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import signal
import socket
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from localrl.sandbox.inside import seccomp
from localrl.verdict import Outcome, Response, Verdict
from localrl.verify.base import VerifierSpec
from localrl.verify.verifiers import code
from tests.sandbox.attacks import PREFIX, PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.sandbox import Sandbox

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="these attacks are Linux's; macOS has the canaries"
)
NUMBERS = seccomp._NUMBERS
SPEC = VerifierSpec(name="code", params={"time_limit_s": 1.0, "memory_bytes": 1 << 30})
TARGET = {"kind": "stdin", "tests": [{"input": "", "output": "ESCAPED"}]}


@dataclass(frozen=True)
class Outside:
    """Everything that a program must not change."""

    files: tuple[tuple[str, int, int, int, bytes], ...]
    devices: tuple[int, ...]
    niceness: int
    affinity: frozenset[int]
    limits: tuple[int, int]
    core_pattern: str
    strays: frozenset[str]
    """Files where the programs try to make some."""

    @classmethod
    def look(cls, folder: Path) -> Outside:
        files = [(path, path.lstat()) for path in sorted(folder.rglob("*"))]
        tried = [f"{tempfile.gettempdir()}/{name}" for name in ("device", "link", "linked", "a", "0", "1")]
        tried += ["/hostile", "/dev/shm/a", str(Path("~/.localrl-hostile").expanduser())]
        return cls(
            files=tuple((str(p), s.st_mode, s.st_uid, s.st_mtime_ns, p.read_bytes()) for p, s in files),
            devices=tuple(Path(f"/dev/{name}").stat().st_mode for name in ("null", "zero", "full")),
            niceness=os.getpriority(os.PRIO_PROCESS, 0),
            affinity=frozenset(os.sched_getaffinity(0)),
            limits=resource.getrlimit(resource.RLIMIT_NOFILE),
            core_pattern=Path("/proc/sys/kernel/core_pattern").read_text(encoding="utf-8"),
            strays=frozenset(path for path in tried if os.path.lexists(path)),
        )


@dataclass(frozen=True)
class Attack:
    """What all the programs did, seen from outside."""

    verdicts: dict[str, Verdict]
    before: Outside
    after: Outside
    signals: list[int]
    connections: int
    left: list[str]
    """Command lines of living processes that started with the programs and are still there."""


@pytest.fixture(scope="module")
def attack(box: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attack]:
    folder = tmp_path_factory.mktemp("victim")
    (folder / "secret").write_text("secret", encoding="utf-8")
    signals: list[int] = []
    watched = (signal.SIGUSR1, signal.SIGWINCH)
    handlers = {number: signal.signal(number, lambda got, _: signals.append(got)) for number in watched}
    abstract = f"localrl-{os.getpid()}"
    with (
        orphans_come_here(),
        socket.create_server(("127.0.0.1", 0)) as port,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind(f"\0{abstract}")
        unix.listen()
        prefix = PREFIX.format(
            victim=str(folder / "secret"),
            home=str(Path("~").expanduser()),
            parent=os.getpid(),
            port=port.getsockname()[1],
            abstract=abstract,
            numbers={
                name: pair[seccomp.ARCHITECTURES[platform.machine()][1]] for name, pair in NUMBERS.items()
            },
        )
        already = {process.pid for process in psutil.Process().children(recursive=True)}
        before = Outside.look(folder)
        with ThreadPoolExecutor(4) as pool:
            verdicts = pool.map(lambda text: judge(prefix + textwrap.dedent(text)), PROGRAMS.values())
            found = dict(zip(PROGRAMS, verdicts, strict=True))
        left = living(already)
        yield Attack(found, before, Outside.look(folder), signals, accepted(port) + accepted(unix), left)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def judge(program: str) -> Verdict:
    return code.verify(Response(answer=f"```python\n{program}\n```"), TARGET, SPEC)


@contextlib.contextmanager
def orphans_come_here() -> Iterator[None]:
    """Make this process the new parent of whatever loses its own, so that nothing is lost sight of."""
    libc, subreaper = ctypes.CDLL(None), 36
    libc.prctl(subreaper, 1, 0, 0, 0)
    yield
    libc.prctl(subreaper, 0, 0, 0, 0)


def living(already: set[int]) -> list[str]:
    """Command lines of new descendants that do not end within a moment; the dead ones are buried."""
    end = time.monotonic() + 10
    while True:
        new = [child for child in psutil.Process().children(recursive=True) if child.pid not in already]
        alive = []
        for child in new:
            with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
                if child.status() != psutil.STATUS_ZOMBIE:
                    alive.append(" ".join(child.cmdline()))
                elif child.ppid() == os.getpid():
                    os.waitpid(child.pid, os.WNOHANG)
        if not alive or time.monotonic() > end:
            return alive
        time.sleep(0.05)


def accepted(listener: socket.socket) -> int:
    listener.setblocking(False)
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            count += 1
    return count


@pytest.mark.slow
def test_no_attack_succeeds(attack: Attack) -> None:
    others = {name: v for name, v in attack.verdicts.items() if v.outcome is not Outcome.WRONG}
    assert others == {}


@pytest.mark.slow
def test_nothing_outside_changes(attack: Attack) -> None:
    assert attack.after == attack.before
    assert attack.signals == []
    assert attack.connections == 0


@pytest.mark.slow
def test_no_process_is_left(attack: Attack) -> None:
    assert attack.left == []

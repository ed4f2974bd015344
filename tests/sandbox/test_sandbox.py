"""Both Linux mechanisms hold for real; what does not hold is refused; nothing outlives a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from localrl import sandbox
from localrl.errors import Unavailable
from localrl.sandbox import Blob, End, Limits, ProcessResult, Sandbox, SandboxError, interpreter
from localrl.sandbox.landlock import Landlock
from localrl.sandbox.mechanism import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from localrl.sandbox.mechanism import Mechanism

pytestmark = pytest.mark.process

QUICK = Limits(wall_s=5.0)


def run(box: Sandbox, source: str, stdin: bytes = b"", limits: Limits = QUICK) -> ProcessResult:
    with Blob(source.encode()) as program, Blob(stdin) as given:
        return box.run(program, given, limits)


class Unconfined:
    """A mechanism that confines nothing."""

    name = "unconfined"
    covers = "nothing"

    def missing(self) -> str:
        return ""

    def command(self, words: Sequence[str], limits: Limits) -> tuple[list[str], list[int]]:
        start = str(interpreter.INSIDE / "start.py")
        return [str(interpreter.current().executable), *interpreter.FLAGS, start, *words], []

    def usage(self, pid: int) -> Usage:
        return Usage()


class Broken(Unconfined):
    name = "broken"

    def command(self, words: Sequence[str], limits: Limits) -> tuple[list[str], list[int]]:
        return ["/bin/sh", "-c", "echo cannot be set up >&2; exit 1"], []


def test_the_canaries_find_every_hole_of_a_sandbox_that_confines_nothing() -> None:
    with pytest.raises(SandboxError) as caught:
        sandbox.checked(Unconfined())
    for hole in (
        "read a file in the home folder",
        "write over it",
        "delete it",
        "connect to a port",
        "signal the parent",
        "fork",
        "threads",
    ):
        assert hole in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
@pytest.mark.parametrize("version", [1, 3, 5])
def test_the_canaries_hold_with_the_landlock_of_an_older_kernel(version: int) -> None:
    assert sandbox.checked(Landlock(newest=version)).name == "landlock"


def test_without_a_sandbox_that_holds_no_code_runs_and_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    candidates: list[Mechanism] = [Broken(), Unconfined()]
    monkeypatch.setattr(sandbox, "mechanisms", lambda: candidates)
    monkeypatch.setattr(sandbox, "_acquired", None)
    with pytest.raises(Unavailable, match="cannot be set up") as caught:
        sandbox.acquire()
    assert caught.value.exit_code == 3
    assert caught.value.hint
    probe = sandbox.probe()
    assert probe.name == ""
    assert list(probe.refused) == ["broken", "unconfined"]


def test_the_sandbox_is_acquired_once_whatever_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_acquired", None)
    found: list[Sandbox] = []
    threads = [threading.Thread(target=lambda: found.append(sandbox.acquire())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one) for one in found}) == 1


def test_four_programs_run_in_parallel_off_the_main_thread(box: Sandbox) -> None:
    results: dict[int, bytes] = {}

    def work(number: int) -> None:
        results[number] = run(box, "print(int(input()) ** 2)", f"{number}\n".encode()).stdout

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: f"{n * n}\n".encode() for n in range(4)}


def test_a_secret_in_the_callers_environment_is_not_seen(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    source = """\
import os, glob
print(dict(os.environ))
for path in glob.glob("/proc/*/environ"):
    try: print(open(path).read())
    except OSError: pass
"""
    assert b"hf_secret" not in run(box, source).stdout


def test_a_set_up_error_is_never_blamed_on_the_program() -> None:
    with pytest.raises(SandboxError, match="cannot be set up"):
        run(Sandbox(Broken()), "print(1)")


def test_the_clock_starts_with_the_program_and_stops_it(box: Sandbox) -> None:
    finished = run(box, "while True: pass", limits=replace(QUICK, wall_s=0.3))
    assert finished.end is End.TIMEOUT
    assert finished.wall_s >= 0.3


class Busy(Unconfined):
    """A mechanism on a machine where every program waits most of the time."""

    def __init__(self) -> None:
        self.looks = 0

    def usage(self, pid: int) -> Usage:
        self.looks += 1
        return Usage(waited_s=1.0 * self.looks)


def test_waiting_for_a_processor_does_not_count_but_not_without_end() -> None:
    limits = replace(QUICK, wall_s=0.3, patience=12.0)
    waits = "import time; time.sleep(60)"  # computing would be ended by the limit of processor time
    finished = run(Sandbox(Busy()), waits, limits=limits)
    assert finished.end is End.TIMEOUT
    assert finished.wall_s >= 0.3 + 12.0 * 0.3
    assert run(Sandbox(Unconfined()), waits, limits=limits).wall_s < finished.wall_s


def test_output_beyond_the_cap_stops_the_program(box: Sandbox) -> None:
    finished = run(box, "while True: print('x' * 1000)")
    assert finished.end is End.OUTPUT_LIMIT
    assert len(finished.stdout) < 2 * QUICK.stdout_bytes
    flood = "import os\nwhile True: os.write(2, b'x' * 60000)"
    finished = run(box, flood, limits=replace(QUICK, stderr_bytes=1 << 20))
    assert finished.end is End.OUTPUT_LIMIT
    assert len(finished.stderr) <= QUICK.stderr_kept


STUBBORN = b"""\
import signal, time
for number in range(1, 64):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    time.sleep(1)
"""


def test_nothing_is_left_when_the_caller_is_killed(box: Sandbox, tmp_path: Path) -> None:
    mark = f"localrl-{os.getpid()}-{tmp_path.name}"
    script = f"""\
from localrl import sandbox
from localrl.sandbox import Blob, Limits, Sandbox
from {type(box.mechanism).__module__} import {type(box.mechanism).__name__} as kind
with Blob({STUBBORN!r}) as program:
    with Sandbox(kind()).calls(program, "{mark}", Limits()) as process:
        print("ready", flush=True)
        process.ask(b'["1",[]]\\n', 100)
"""
    caller = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert caller.stdout is not None
    assert caller.stdout.readline() == b"ready\n"
    assert _wait_for(lambda: bool(processes_with(mark)))
    time.sleep(0.2)
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    caller.stdout.close()
    assert _wait_for(lambda: not processes_with(mark)), processes_with(mark)


def processes_with(mark: str) -> list[str]:
    """Command lines of processes that carry a mark, other than this one's."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"function={mark}" in line:
            found.append(line)
    return found


def _wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True

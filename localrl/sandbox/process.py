"""One confined process: its pipes drained under caps, its clock and its size watched, its end certain.

Everything happens in the calling thread; several threads may each hold a process. Whatever the program does,
`close` (or leaving the `with` block) leaves nothing of it behind.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from localrl.errors import LocalrlError
from localrl.sandbox import interpreter
from localrl.sandbox.inside.runner import ARMED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from localrl.sandbox.blob import Blob
    from localrl.sandbox.limits import Limits
    from localrl.sandbox.mechanism import Mechanism

_TICK_S = 0.05  # how often memory, threads and files are looked at
_LAST_WORDS_S = 0.1  # for output after the exit
_CHUNK = 1 << 16


class SandboxError(LocalrlError):
    """The sandbox itself failed: this says nothing about the program."""


class End(StrEnum):
    EXITED = "exited"
    TIMEOUT = "timeout"
    OUTPUT_LIMIT = "output_limit"
    """Too much on standard output or error, or too many files."""
    RESOURCE_LIMIT = "resource_limit"
    """Too much memory, or too many threads; only where these are watched from outside."""


@dataclass(frozen=True, slots=True)
class ProcessResult:
    end: End
    returncode: int
    """As `subprocess` has it: negative for a signal."""
    stdout: bytes
    stderr: bytes
    """The first of it, up to `Limits.stderr_kept`."""
    wall_s: float


class Ended(Exception):
    """The program ended, or was ended, while an answer was awaited."""

    def __init__(self, finished: ProcessResult) -> None:
        super().__init__(finished.end)
        self.finished = finished


class Process:
    """A program in the sandbox.

    Args:
        mode: what `inside/runner.py` shall do: `program`, `calls` or `judge`.
        source: the program's text.
        stdin: what it reads, as a descriptor; None for a pipe that `ask` writes to.

    Raises:
        SandboxError: it cannot be started.
    """

    def __init__(
        self,
        mechanism: Mechanism,
        mode: str,
        source: Blob,
        limits: Limits,
        stdin: int | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self._mechanism, self._limits = mechanism, limits
        program = source.open()
        descriptors = [program]
        words = [mode, f"source={program}", *options, *_limit_words(limits)]
        words += [f"package={path}" for path in interpreter.current().packages]
        try:
            command, more = mechanism.command(words, limits)
            descriptors += more
            self._process = subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.PIPE if stdin is None else stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                env=interpreter.environment(),
                pass_fds=descriptors,
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxError(f"cannot start {mechanism.name}: {error}") from error
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        self._out, self._err, self._err_total = bytearray(), bytearray(), 0
        self._to_write = memoryview(b"")
        self._armed = False
        self._start_clock(limits.wall_s)
        self._stopped: End | None = None
        self._selector = selectors.DefaultSelector()
        self._reading: dict[int, str] = {}
        for name in ("stdout", "stderr"):
            descriptor = getattr(self._process, name).fileno()
            self._reading[descriptor] = name
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)

    def wait(self) -> ProcessResult:
        """Drain the pipes until the program has ended, or has been ended by a limit.

        Raises:
            SandboxError: the program never began.
        """
        self._pump(lambda: False, self._limits.stdout_bytes)
        return self._finish()

    def ask(self, line: bytes, reply_bytes: int, wall_s: float | None = None) -> bytes:
        """Write `line` (which may be empty), return the next line that comes back, without its end.

        Args:
            wall_s: seconds for this answer, if not those of the limits.

        Raises:
            Ended: the program ended, ran out of time, or wrote more than `reply_bytes`.
            SandboxError: the program never began.
        """
        self._start_clock(self._limits.wall_s if wall_s is None else wall_s)
        self._to_write = memoryview(line)
        if line and self._stdin not in self._selector.get_map():
            self._selector.register(self._stdin, selectors.EVENT_WRITE)
        self._pump(lambda: b"\n" in self._out, reply_bytes)
        reply, newline, rest = self._out.partition(b"\n")
        if self._stopped or not newline:
            raise Ended(self._finish())
        self._out = rest
        return bytes(reply)

    def close(self) -> None:
        """Kill what is left."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _stdin(self) -> int:
        assert self._process.stdin is not None
        return self._process.stdin.fileno()

    def _pump(self, enough: Callable[[], bool], stdout_bytes: int) -> None:
        """Move bytes until there is enough, the program has ended, or a limit ends it."""
        last_words: float | None = None
        look_at = time.monotonic() + _TICK_S
        while self._stopped is None and not enough():
            now = time.monotonic()
            until = last_words or self._deadline()
            if now >= until:
                if last_words or not self._extend():
                    return None if last_words else self._stop(End.TIMEOUT)
                continue
            if now >= look_at:
                look_at = now + _TICK_S
                if self._process.poll() is None:
                    self._look()
                else:
                    last_words = last_words or now + _LAST_WORDS_S
            if not self._reading:
                return self._sit_out()
            for key, _ in self._selector.select(min(look_at, until) - now):
                self._move(key.fd)
            if len(self._out) > stdout_bytes or self._err_total > self._limits.stderr_bytes:
                self._stop(End.OUTPUT_LIMIT)
        return None

    def _sit_out(self) -> None:
        """All is said, the program may still be running."""
        while self._stopped is None and self._process.poll() is None:
            left = self._deadline() - time.monotonic()
            if left <= 0:
                if not self._extend():
                    self._stop(End.TIMEOUT)
                continue
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(min(left, _TICK_S))
                return
            self._look()

    def _start_clock(self, wall_s: float) -> None:
        self._clock, self._wall_s, self._granted_s = time.monotonic(), wall_s, 0.0
        self._waited_before: float | None = None

    def _deadline(self) -> float:
        return self._clock + (self._wall_s + self._granted_s if self._armed else self._limits.startup_s)

    def _extend(self) -> bool:
        """At the deadline: grant the time that the program waited for a processor, if it did."""
        if not self._armed or self._waited_before is None:
            return False
        waited = self._mechanism.usage(self._process.pid).waited_s - self._waited_before
        granted, self._granted_s = self._granted_s, min(waited, self._limits.patience * self._wall_s)
        return self._granted_s > granted + _TICK_S

    def _stop(self, end: End) -> None:
        self._stopped = end
        self._process.kill()

    def _look(self) -> None:
        if not self._armed:  # what is there to see is still the mechanism's, or the host's
            return
        usage, limits = self._mechanism.usage(self._process.pid), self._limits
        if self._waited_before is None:
            self._waited_before = usage.waited_s
        if usage.inodes > limits.inodes:
            self._stop(End.OUTPUT_LIMIT)
        elif usage.threads > limits.threads or usage.resident_bytes > limits.memory_bytes:
            self._stop(End.RESOURCE_LIMIT)

    def _move(self, descriptor: int) -> None:
        """Read or write what can be read or written at once."""
        try:
            if descriptor not in self._reading:
                written = os.write(descriptor, self._to_write[:_CHUNK])
                self._to_write = self._to_write[written:]
                if not self._to_write:
                    self._selector.unregister(descriptor)
                return
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._selector.unregister(descriptor)
            return
        if not data:
            del self._reading[descriptor]
            self._selector.unregister(descriptor)
        elif self._reading[descriptor] == "stdout":
            self._out += data
        else:
            self._hear(data)

    def _hear(self, data: bytes) -> None:
        """Standard error: first the sign that the program begins, then its own words."""
        self._err_total += len(data)
        self._err += data[: self._limits.stderr_kept - len(self._err)]
        if not self._armed and ARMED in self._err:
            self._armed = True
            self._start_clock(self._wall_s)
            self._waited_before = self._mechanism.usage(self._process.pid).waited_s
            del self._err[: self._err.index(ARMED) + 1]

    def _finish(self) -> ProcessResult:
        code = self._process.wait()
        stderr = bytes(self._err)
        if not self._armed:
            words = stderr.decode(errors="replace").strip().splitlines()
            raise SandboxError(
                f"{self._mechanism.name} failed: {words[-1] if words else f'exit code {code}'}"
            )
        wall = time.monotonic() - self._clock
        return ProcessResult(self._stopped or End.EXITED, code, bytes(self._out), stderr, wall)


def _limit_words(limits: Limits) -> list[str]:
    return [
        f"memory={limits.memory_bytes}",
        f"cpu={limits.cpu_s}",
        f"file={limits.file_bytes}",
        f"files={limits.files}",
        f"stack={limits.stack_bytes}",
        "core=0",
    ]

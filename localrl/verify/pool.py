"""Verifiers under limits: `submit` never blocks on one, and a verifier that hangs or crashes is a verdict.

Quick verdicts are given in the caller. The rest run in worker processes, each fed by a thread of its own; a
worker over its time is killed and replaced. When all workers are held up by slow responses, one more is
started for those that wait behind them, up to `_SPARE`.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import selectors
import signal
import subprocess
import threading
import time
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from localrl import isolated
from localrl.verdict import Outcome, Response, Verdict
from localrl.verify import registry
from localrl.verify.worker import failure, from_json, guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from localrl.verify.base import VerifierSpec

TIME_LIMIT_S = 10.0
MEMORY_BYTES = 2 << 30
_PATIENCE_S = 0.5
_BACKLOG = 32  # jobs that wait before a second worker is worth the second of processor time of its start
_STARTUP_S = 60.0
_LONGEST_REPLY = 16 << 20
_SPARE = 8
_MOST = 8


@dataclass(frozen=True, slots=True)
class _Job:
    spec: VerifierSpec
    response: Response
    target: Any
    future: Future[Verdict]


class VerifierPool:
    """Judge responses; see the module's docstring.

    Args:
        workers: at most so many at once in ordinary times; None takes one a core, 2 to 8.
        time_limit_s: wall time for one response in a worker; beyond it the verdict is `verifier_timeout`.
        memory_bytes: address space of one worker; beyond it the verdict is `verifier_error`.
        command: what starts a worker (tests start one with hostile verifiers).
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        time_limit_s: float = TIME_LIMIT_S,
        memory_bytes: int = MEMORY_BYTES,
        command: Sequence[str] = tuple(isolated.command("localrl.verify.worker")),
    ) -> None:
        self.workers = workers or min(max(os.cpu_count() or 2, 2), _MOST)
        self.time_limit_s, self.memory_bytes, self.command = time_limit_s, memory_bytes, tuple(command)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._closed = False

    def submit(self, spec: VerifierSpec, response: Response | None, target: Any) -> Future[Verdict]:
        """A future of the verdict, which never holds an exception.

        No response is one that was cut inside its thinking: it is truncated, whatever it holds.

        Raises:
            UsageError: the verifier does not exist.
            RuntimeError: the pool is closed.
        """
        verifier = registry.VERIFIERS.get(spec.name)
        future: Future[Verdict] = Future()
        future.set_running_or_notify_cancel()
        if self._closed:
            raise RuntimeError("the verifier pool is closed")
        if response is None:
            future.set_result(Verdict(Outcome.TRUNCATED))
            return future
        if verifier.RUNS != "thread":
            judge = verifier.verify if verifier.RUNS == "inline" else verifier.quick
            if (certain := guarded(judge, response, target, spec)) is not None:
                future.set_result(certain)
                return future
        self._jobs.put(_Job(spec, response, target, future))
        if verifier.RUNS == "thread":
            self._grow(2 * self.workers)  # half of such a job is waiting for processes
        else:
            self._grow(self.workers if self._jobs.qsize() > _BACKLOG else 1)
        return future

    def close(self) -> None:
        """Finish what was submitted, then end the workers."""
        with self._lock:
            self._closed = True
            threads = list(self._threads)
        self._jobs.put(None)  # comes after every job; each thread that finds it leaves it for the next
        for thread in threads:
            thread.join()

    def __enter__(self) -> VerifierPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _grow(self, limit: int) -> None:
        with self._lock:
            if not self._closed and self._jobs.qsize() > self._idle and len(self._threads) < limit:
                thread = threading.Thread(target=self._serve, name="verifier", daemon=True)
                self._threads.add(thread)
                thread.start()

    def _serve(self) -> None:
        """One thread's life: job after job, with a worker process of its own where they need one."""
        worker: _Worker | None = None
        while (job := self._next()) is not None:
            verifier = registry.VERIFIERS.get(job.spec.name)
            if verifier.RUNS == "thread":
                verdict = guarded(verifier.verify, job.response, job.target, job.spec)
            else:
                try:
                    worker = worker or _Worker(self.command, self.memory_bytes)
                    verdict = worker.judge(job, self.time_limit_s, lambda: self._grow(self.workers + _SPARE))
                except OSError as error:
                    verdict = failure(f"cannot start the verifier's process: {error}")
                if worker and not worker.alive:
                    worker = None
            job.future.set_result(verdict)
        if worker:
            worker.close()

    def _next(self) -> _Job | None:
        with self._lock:
            self._idle += 1
        try:
            while True:
                with contextlib.suppress(queue.Empty):
                    job = self._jobs.get(timeout=2.0)
                    if job is None:
                        self._jobs.put(None)
                    return job
                with self._lock:
                    if len(self._threads) > self.workers and not self._closed:
                        self._threads.discard(threading.current_thread())
                        return None
        finally:
            with self._lock:
                self._idle -= 1


class _Worker:
    """The handle of one worker process; used by one thread."""

    def __init__(self, command: Sequence[str], memory_bytes: int) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("LOCALRL_DEBUG") else subprocess.DEVNULL,
            bufsize=0,
            env=_environment(memory_bytes),
            start_new_session=True,  # Ctrl-C is the app's to answer
        )
        assert self._process.stdin
        assert self._process.stdout
        self._requests, self._replies = self._process.stdin, self._process.stdout
        os.set_blocking(self._requests.fileno(), False)
        os.set_blocking(self._replies.fileno(), False)
        self._unread = b""
        self.alive = True

    def judge(self, job: _Job, limit_s: float, when_slow: Callable[[], None]) -> Verdict:
        """The verdict on one response; afterwards `alive` says whether the process can be used again."""
        request = {
            "spec": job.spec.model_dump(),
            "response": asdict(job.response),
            "target": job.target,
            "limit_s": limit_s,
        }
        try:
            message = json.dumps(request).encode() + b"\n"
        except (TypeError, ValueError) as error:
            return failure(f"the target is no JSON value: {error}")
        try:
            self._exchange(message, _STARTUP_S, when_slow)
            verdict = from_json(json.loads(self._exchange(b"", limit_s, when_slow)))
        except TimeoutError:
            self._kill()
            return Verdict(Outcome.VERIFIER_TIMEOUT, detail={"limit_s": limit_s})
        except (OSError, EOFError):
            return failure(f"the verifier's process ended: {_ending(self._kill())}")
        except (ValueError, KeyError, TypeError, RecursionError):
            self._kill()
            return failure("the verifier's process sent no verdict")
        if verdict.detail.get("error", "").startswith(("MemoryError", "RecursionError")):
            self._kill()  # what is left of it is not to be trusted
        return verdict

    def close(self) -> None:
        self._requests.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._replies.close()

    def _exchange(self, message: bytes, limit_s: float, when_slow: Callable[[], None]) -> bytes:
        """Write a message, if any, and read one line.

        Raises:
            TimeoutError: not within the limit.
            EOFError, OSError: the process is gone.
            ValueError: the line is longer than any verdict.
        """
        deadline = time.monotonic() + limit_s
        with selectors.DefaultSelector() as ready:
            ready.register(self._replies, selectors.EVENT_READ)
            if message:
                ready.register(self._requests, selectors.EVENT_WRITE)
            while b"\n" not in self._unread:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                events = ready.select(min(left, _PATIENCE_S))
                if not events:
                    when_slow()
                for key, _ in events:
                    if key.fileobj is self._requests:
                        message = message[os.write(key.fd, message[:65536]) :]
                        if not message:
                            ready.unregister(self._requests)
                    else:
                        self._read(key.fd)
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _read(self, fd: int) -> None:
        data = os.read(fd, 65536)
        if not data:
            raise EOFError
        self._unread += data
        if len(self._unread) > _LONGEST_REPLY:
            raise ValueError("reply too long")

    def _kill(self) -> int:
        self.alive = False
        self._process.kill()
        code = self._process.wait()
        self._requests.close()
        self._replies.close()
        return code


def _environment(memory_bytes: int) -> dict[str, str]:
    """No thread pools in a worker."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**isolated.environment(), **threads, "LOCALRL_VERIFIER_MEMORY": str(memory_bytes)}


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"

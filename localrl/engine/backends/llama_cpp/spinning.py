"""How llama.cpp's threads wait for each other: spinning on a quiet machine, asleep on a busy one.

They meet some thousand times a token. On a quiet machine waking sleepers is a tenth of a decode step; where
something else wants the cores too, a thread that spins may keep one from the thread that it waits for, and
steps take several times as long. So steps spin while their processor time says that they get the cores.

GNU OpenMP reads `GOMP_SPINCOUNT` once, but spins a hundred times at most while there are more OpenMP threads
than processors (its manual, under GOMP_SPINCOUNT): parked ones are the switch.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from pathlib import Path
from typing import Any

from localrl.engine import SPIN_COUNT

MOST_TOKENS = 64
"""Computing more tokens takes so long that waking up costs nothing beside it."""
LOST_CORES = 0.25
"""Cores' worth of time that others took, from which on a machine is busy."""
RECENT = 0.3
"""Weight of the last step in averages."""
PAUSE_S = (0.25, 8.0)
"""Before spinning is tried again on a busy machine: at first, and at most."""
PAUSE_STEPS = 50
"""As many times as long as the last try took, so that trying costs little."""


class SpinPolicy:
    """Whether to spin in the next step, judged by what the steps before took. Times in seconds."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._calm = True
        self._lost: float | None = None
        """Cores lost while spinning, averaged over the last steps."""
        self._asleep: dict[int, float] = {}
        """Wall time of steps that did not spin, by their number of tokens."""
        self._pause = PAUSE_S[0]
        self._again = 0.0

    def wanted(self, tokens: int, now: float) -> bool:
        """Whether a step of so many tokens should spin."""
        return tokens <= MOST_TOKENS and (self._calm or now >= self._again)

    def observe(self, tokens: int, spun: bool, wall: float, cpu: float, now: float) -> None:
        """Take the wall time of a step, and the processor time of all threads in it."""
        if tokens > MOST_TOKENS or wall <= 0:
            return
        if not spun:
            known = self._asleep.get(tokens, wall)
            self._asleep = {tokens: known + RECENT * (wall - known)}
            return
        lost = self._threads - cpu / wall
        self._lost = lost if self._lost is None else self._lost + RECENT * (lost - self._lost)
        # Threads also wait where a step is not parallel: only what takes longer than asleep is a loss.
        if self._lost > LOST_CORES and wall > self._asleep.get(tokens, 0.0):
            self._pause = PAUSE_S[0] if self._calm else min(2 * self._pause, PAUSE_S[1])
            self._calm, self._lost = False, None
            self._again = now + max(self._pause, PAUSE_STEPS * wall)
        else:
            self._calm = True


class Spinning:
    """Applies the policy to the steps of a device; does nothing where OpenMP is not GNU's, or set by hand."""

    def __init__(self, threads: int) -> None:
        library = _gnu_openmp() if os.environ.get("GOMP_SPINCOUNT") == SPIN_COUNT else None
        self._switch = None if library is None or threads < 2 else _ParkedThreads(library, threads)
        self._policy = SpinPolicy(threads)
        self._spins = True
        self._began = (0.0, 0.0)

    def before(self, tokens: int) -> None:
        """A step of so many tokens is about to begin."""
        if self._switch is None:
            return
        self._spins = self._policy.wanted(tokens, time.monotonic())
        self._switch.park(not self._spins)
        self._began = (time.monotonic(), time.process_time())

    def after(self, tokens: int) -> None:
        """It has ended."""
        if self._switch is None:
            return
        now, cpu = time.monotonic(), time.process_time()
        self._policy.observe(tokens, self._spins, now - self._began[0], cpu - self._began[1], now)

    def close(self) -> None:
        if self._switch is not None:
            self._switch.park(False)


class _ParkedThreads:
    """OpenMP threads that sleep: with the `threads` that compute, more than there are processors."""

    def __init__(self, library: Any, threads: int) -> None:
        self._library = library
        self._count = max(2, (os.cpu_count() or threads) - threads + 2)
        self._holder: threading.Thread | None = None
        self._done = threading.Event()

    def park(self, wanted: bool) -> None:
        if wanted and self._holder is None:
            self._done.clear()
            ready = threading.Event()
            self._holder = threading.Thread(target=self._hold, args=(ready,), daemon=True)
            self._holder.start()
            ready.wait()
        elif not wanted and self._holder is not None:
            self._done.set()
            self._holder.join()
            self._holder = None

    def _hold(self, ready: threading.Event) -> None:
        """Have a team made, which lasts as long as the thread that asked for it."""
        anything = ctypes.cast(self._library.omp_get_thread_num, ctypes.c_void_p)
        self._library.GOMP_parallel(anything, None, self._count, 0)
        ready.set()
        self._done.wait()


def _gnu_openmp() -> Any:
    """The library that is loaded already, under whichever name a package brought it; None where it is not."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    path = next((line.split(maxsplit=5)[5] for line in lines if "libgomp" in line), None)
    return ctypes.CDLL(path) if path else None

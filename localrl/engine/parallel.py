"""`--parallel auto`: find the number of streams at which this machine generates most, while it works.

Each level is twice the one before. A level is judged by its median decode step; as long as doubling the
streams buys at least GAIN in tokens per second, the next level is tried; otherwise the best one stays.
Growing contexts change the picture, so the search starts again from the best level after RECHECK steps.
"""

from __future__ import annotations

from statistics import median

GAIN = 1.05
STEPS = 8
RECHECK = 2000


class Parallel:
    """How many streams may run at once.

    `fixed` switches the search off. `highest` bounds it.
    """

    def __init__(self, fixed: int | None = None, start: int = 8, highest: int = 128) -> None:
        self.limit = min(fixed or start, highest)
        self._highest = highest
        self._searching = fixed is None and self.limit < highest
        self._fixed = fixed is not None
        self._seconds: list[float] = []
        self._best: tuple[float, int] = (0.0, self.limit)
        self._settled_steps = 0

    def observe(self, streams: int, seconds: float) -> None:
        """Take the wall time of one step in which `streams` streams decoded and no prompt was computed."""
        if self._fixed or streams < self.limit:
            return
        if not self._searching:
            self._settled_steps += 1
            if self._settled_steps >= RECHECK and self.limit < self._highest:
                self._settled_steps, self._best, self._searching = 0, (0.0, self.limit), True
            return
        self._seconds.append(seconds)
        if len(self._seconds) < STEPS:
            return
        rate = self.limit / median(self._seconds)
        self._seconds.clear()
        better = rate >= GAIN * self._best[0]
        if better:
            self._best = (rate, self.limit)
        if better and self.limit < self._highest:
            self.limit = min(2 * self.limit, self._highest)
        else:
            self.limit, self._searching = self._best[1], False

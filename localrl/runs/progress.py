"""How far a run is, counted from what is on disk: what the progress line and the bench screen show."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localrl.engine.protocol import Metrics
from localrl.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

RATE_WINDOW_S = 10.0
"""Tokens per second are shown over about this long."""
STEP = 0.01
"""Logarithms of numbers this close are counted as one."""
SMALLEST = 1e-6


@dataclass(slots=True)
class EvalProgress:
    """Counts of one eval. Complete groups are stored as numbers of (samples, correct), not one by one."""

    name: str
    total: int
    """Samples in all; 0 while the number of problems is not known."""
    tokens_each: float = 1.0
    """Expected of a sample: by it the time that evals take is compared."""
    outcomes: Counter[str] = field(default_factory=Counter)
    groups: Counter[tuple[int, int]] = field(default_factory=Counter)
    """(samples, correct ones) of a judged problem -> how many problems have these counts."""
    budgets: dict[int, EvalProgress] = field(default_factory=dict)
    """What the samples answered at each thinking budget, ascending; counted apart from them."""
    _open: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def done(self) -> int:
        return self.outcomes.total()

    @property
    def accuracy(self) -> float | None:
        return self.outcomes[Outcome.CORRECT] / self.done if self.done else None

    def judged(self, problem: int, outcome: Outcome, k: int) -> None:
        """Count one sample of a problem that has k."""
        self.outcomes[str(outcome)] += 1
        samples, correct = self._open.pop(problem, (0, 0))
        counts = (samples + 1, correct + (outcome is Outcome.CORRECT))
        if counts[0] >= k:
            self.groups[counts] += 1
        else:
            self._open[problem] = counts

    def reopen(self, problem: int, counts: tuple[int, int], k: int) -> None:
        """A problem of which an earlier session has judged some of k samples, (samples, correct ones)."""
        if 0 < counts[0] < k:
            self._open[problem] = counts

    def counts(self) -> Counter[tuple[int, int]]:
        """Groups by their counts, those under way included."""
        return self.groups + Counter(self._open.values())


@dataclass(slots=True)
class Median:
    """The median of positive numbers to within half a percent; its memory does not grow with them."""

    _counts: Counter[int] = field(default_factory=Counter)

    def add(self, value: float) -> None:
        self._counts[round(math.log(max(value, SMALLEST)) / STEP)] += 1

    @property
    def value(self) -> float | None:
        """None while there are no numbers."""
        left = (self._counts.total() + 1) // 2
        for at in sorted(self._counts):
            left -= self._counts[at]
            if left <= 0:
                return math.exp(at * STEP)
        return None


@dataclass(slots=True)
class Progress:
    """A run's state at one moment. The runner changes it; everyone else only looks."""

    evals: list[EvalProgress]
    metrics: Metrics = field(default_factory=Metrics)
    restarts: int = 0
    done_before: int = 0
    """Samples that earlier sessions had done."""
    correct_before: int = 0
    worked_before_s: float = 0.0
    """Seconds that they took for that."""
    first_token: Median = field(default_factory=Median)
    """Of the seconds until a sample's first token, over all sessions."""
    clock: Callable[[], float] = time.monotonic
    _began: float = field(init=False)
    _paused_s: float = 0.0
    _paused_at: float | None = None
    _marks: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def worked_s(self) -> float:
        """Seconds of this session; those that a person had it paused do not count."""
        return (self.clock() if self._paused_at is None else self._paused_at) - self._began - self._paused_s

    def pause(self, paused: bool) -> None:
        """Stop the clock, or let it go on."""
        now = self.clock()
        if paused and self._paused_at is None:
            self._paused_at = now
        elif not paused and self._paused_at is not None:
            self._paused_s += now - self._paused_at
            self._paused_at = None

    @property
    def done(self) -> int:
        return sum(part.done for part in self.evals)

    @property
    def total(self) -> int:
        return sum(part.total for part in self.evals)

    @property
    def correct(self) -> int:
        return sum(part.outcomes[Outcome.CORRECT] for part in self.evals)

    @property
    def errors(self) -> int:
        """Samples that the engine failed on: the accuracy says nothing of them."""
        return sum(part.outcomes[Outcome.ENGINE_ERROR] for part in self.evals)

    @property
    def accuracy(self) -> float | None:
        return self.correct / self.done if self.done else None

    def take(self, metrics: Metrics) -> None:
        self.metrics = metrics
        now = self.worked_s
        if not self._marks or now - self._marks[-1][0] >= 0.25:
            self._marks.append((now, metrics.generated_tokens))
            while len(self._marks) > 2 and now - self._marks[1][0] > RATE_WINDOW_S:
                self._marks.pop(0)

    @property
    def tokens_per_s(self) -> float:
        """Generated tokens per second of late, over all streams; those of broken answers do not count."""
        if len(self._marks) < 2:
            return 0.0
        (t0, n0), (t1, n1) = self._marks[0], self._marks[-1]
        return max(0, n1 - n0) / (t1 - t0) if t1 > t0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds left, if the rest goes like the run so far, of which a session may have seen little."""
        new = self.done if self.worked_before_s else self.done - self.done_before
        if not new or not self.total:
            return None
        done = sum(part.done * part.tokens_each for part in self.evals) * new / self.done
        left = sum((part.total - part.done) * part.tokens_each for part in self.evals)
        return (self.worked_before_s + self.worked_s) / done * left

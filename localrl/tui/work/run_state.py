"""The state of a run, written by its thread and read by the screen.

The thread appends and replaces whole values, so the reader needs no lock: it sees a state at most a tenth of
a second old, and never slows the run.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localrl.engine.client import Restarted
from localrl.engine.protocol import Metrics
from localrl.runs.runner import Live
from localrl.sample import Sample
from localrl.tui.symbols import CODE_OF, PENDING_CODE, RUNNING_CODE, UNJUDGED_CODE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localrl.runs.plan import RunPlan
    from localrl.runs.progress import Progress
    from localrl.runs.runner import RunEvent
    from localrl.sample import Problem, SampleRow

PUBLISH_S = 0.1
RATES_KEPT = 240
RATE_EVERY_S = 0.5
STREAMS_KEPT = 64
"""Ended streams whose text can still be read."""

SampleKey = tuple[int, str, int]
"""(eval's position, problem's id, sample's index)"""


@dataclass(frozen=True, slots=True)
class EvalSnapshot:
    name: str
    done: int
    total: int
    outcomes: dict[str, int]
    counts: dict[tuple[int, int], int]
    """(samples, correct ones) of a problem -> how many problems have these counts."""
    budgets: dict[int, dict[tuple[int, int], int]] = field(default_factory=dict)
    """The same at each thinking budget, ascending."""


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """The run's metrics at one moment."""

    evals: tuple[EvalSnapshot, ...] = ()
    metrics: Metrics = field(default_factory=Metrics)
    tokens_per_s: float = 0.0
    eta_s: float | None = None
    elapsed_s: float = 0.0
    correct_now: int = 0
    """Correct samples of this session."""
    ttft_s: float | None = None
    """The median so far."""
    restarts: int = 0

    @property
    def done(self) -> int:
        return sum(part.done for part in self.evals)

    @property
    def total(self) -> int:
        return sum(part.total for part in self.evals)

    @property
    def outcomes(self) -> Counter[str]:
        return sum((Counter(part.outcomes) for part in self.evals), Counter())


@dataclass(slots=True, eq=False)
class LiveSample:
    """The text of one sample while it is generated; fragments are only ever appended."""

    key: SampleKey
    began: float
    fragments: list[tuple[bool, str]] = field(default_factory=list)
    """(whether it is thinking, text)"""
    tokens: int = 0
    thinking_s: float | None = None
    """How long it thought; None while it does."""
    outcome: str = ""
    """Empty while it runs."""
    extracted: str | None = None
    cut: bool = False
    """The run was stopped before it ended; a resumed run generates it again."""

    @property
    def running(self) -> bool:
        return not self.outcome and not self.cut


@dataclass(slots=True, eq=False)
class ProblemRow:
    """The cells of one problem."""

    eval: int
    problem: str
    cells: bytearray

    @property
    def judged(self) -> tuple[int, int]:
        """(judged, correct) samples."""
        done = sum(code > UNJUDGED_CODE for code in self.cells)
        return done, self.cells.count(CODE_OF["correct"])


class RunState:
    """One run's state for the screen; `take` is for the run's thread, everything else for readers."""

    def __init__(self, plan: RunPlan) -> None:
        self.plan = plan
        self.published: tuple[tuple[float, ...], ...] = ()
        """For each eval, the accuracies that were published for this model."""
        self.snapshot = RunSnapshot()
        self.rows: list[ProblemRow] = []
        self.streams: dict[SampleKey, LiveSample] = {}
        self.rates: list[float] = []
        """Tokens per second over all streams, one each half second."""
        self.notices: list[str] = []
        self.version = 0
        """Rises with every cell that changes."""
        self._position = {part.spec.name: i for i, part in enumerate(plan.evals)}
        self._row_of: dict[tuple[int, str], ProblemRow] = {}
        self._published = 0.0
        self._rated: tuple[float, int] | None = None

    def look_up_published(self) -> None:
        """Of a run that was planned long ago, reads the model's card."""
        self.published = tuple(
            tuple(score.value for score in self.plan.published(part)) for part in self.plan.evals
        )

    def seed(self, stored: Iterable[SampleRow]) -> None:
        """Enter what earlier sessions did."""
        for row in stored:
            cells = self._row(self._position[row.eval], row.problem).cells
            if row.outcome != "engine_error" and row.sample < len(cells):
                cells[row.sample] = CODE_OF.get(row.outcome or "", UNJUDGED_CODE)
        self.version += 1

    def take(self, event: RunEvent, progress: Progress) -> None:
        if isinstance(event, Live):
            self._live(event)
        elif isinstance(event, Sample):
            if event.budget is None:
                self._judged(event)
        elif isinstance(event, Restarted):
            self.notices.append(
                f"The engine died (exit status {event.exit_status}) and was started again; the run goes on."
            )
            for stream in self.streams.values():
                if stream.running:  # it begins anew, at its turn
                    stream.fragments, stream.tokens = [], 0
                    self._set(stream.key, PENDING_CODE)
        now = time.monotonic()
        if now - self._published >= PUBLISH_S:
            self.publish(progress, now)

    def publish(self, progress: Progress, now: float | None = None) -> None:
        """Publish a snapshot of the metrics."""
        now = now or time.monotonic()
        self._published = now
        self.snapshot = RunSnapshot(
            evals=tuple(
                EvalSnapshot(
                    part.name,
                    part.done,
                    part.total,
                    dict(part.outcomes),
                    dict(part.counts()),
                    {budget: dict(at.counts()) for budget, at in part.budgets.items()},
                )
                for part in progress.evals
            ),
            metrics=progress.metrics,
            tokens_per_s=progress.tokens_per_s,
            eta_s=progress.eta_s,
            elapsed_s=progress.worked_s,
            correct_now=progress.correct - progress.correct_before,
            ttft_s=progress.first_token.value,
            restarts=progress.restarts,
        )
        generated = progress.metrics.generated_tokens
        then, tokens = self._rated = self._rated or (now, generated)
        if now - then >= RATE_EVERY_S:
            self.rates.append(max(0.0, (generated - tokens) / (now - then)))
            del self.rates[:-RATES_KEPT]
            self._rated = (now, generated)

    def settle(self) -> None:
        """The run has ended: samples that had not are pending again."""
        for stream in self.running():
            stream.cut = True
            self._set(stream.key, PENDING_CODE)

    def running(self) -> list[LiveSample]:
        """The streams that run, the oldest first."""
        return [stream for stream in list(self.streams.values()) if stream.running]

    def _live(self, event: Live) -> None:
        key = self._key(event.problem, event.index)
        stream = self.streams.get(key)
        if stream is None:
            stream = self.streams[key] = LiveSample(key, time.monotonic())
        if not stream.fragments:
            self._set(key, RUNNING_CODE)
        if not event.thinking and stream.thinking_s is None:
            stream.thinking_s = time.monotonic() - stream.began
        stream.fragments.append((event.thinking, event.text))
        stream.tokens += event.tokens

    def _judged(self, event: Sample) -> None:
        key = self._key(event.problem, event.index)
        self._set(key, CODE_OF[str(event.outcome)])
        if stream := self.streams.get(key):
            stream.outcome, stream.extracted = str(event.outcome), event.extracted
            ended = [key for key, stream in self.streams.items() if not stream.running]
            for old in ended[:-STREAMS_KEPT]:
                del self.streams[old]

    def _key(self, problem: Problem, index: int) -> SampleKey:
        return self._position[problem.eval], problem.id, index

    def _set(self, key: SampleKey, code: int) -> None:
        cells = self._row(key[0], key[1]).cells
        if key[2] < len(cells):
            cells[key[2]] = code
            self.version += 1

    def _row(self, eval_index: int, problem: str) -> ProblemRow:
        row = self._row_of.get((eval_index, problem))
        if row is None:
            samples = self.plan.evals[eval_index].samples
            row = ProblemRow(eval_index, problem, bytearray([PENDING_CODE]) * samples)
            self._row_of[eval_index, problem] = row
            self.rows.append(row)
        return row

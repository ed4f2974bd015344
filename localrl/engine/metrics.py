"""What a backend has done and in which time, and from it the number of streams worth having."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localrl.engine.protocol import Metrics

if TYPE_CHECKING:
    from localrl.engine.parallel import Parallel

WINDOW_S = 0.5
"""Over which the rate of all streams of servers is measured."""
PAUSE_S = 1.0
"""A longer time between two steps of theirs was a pause, and counts for nothing."""


@dataclass
class _Totals:
    parallel: Parallel
    generated: int = 0
    """Tokens, as far as they are known."""
    prefilled: int = 0
    _steps: int = 0
    _decode_s: float = 0.0
    _prefill_s: float = 0.0

    def metrics(self) -> Metrics:
        """What was done since the model was loaded; what runs at the moment is the backend's to add."""
        return Metrics(
            parallel=self.parallel.limit,
            generated_tokens=self.generated,
            decode_s=self._decode_s,
            prefill_tokens=self.prefilled,
            prefill_s=self._prefill_s,
            steps=self._steps,
        )


class StepMetrics(_Totals):
    """Counts and wall times of forward passes."""

    def measure(self, decoding: int, prefilled: int, seconds: float, others: int = 0) -> None:
        """Count one pass over the next tokens of `decoding` streams and `prefilled` tokens of prompts.

        Passes with `others`, forks or drafted tokens, say nothing of how many streams are worth having.
        """
        self._steps += 1
        self.prefilled += prefilled
        if decoding:
            self._decode_s += seconds
        if prefilled:
            self._prefill_s += seconds * prefilled / (decoding + prefilled)
        elif not others:
            self.parallel.observe(decoding, seconds)


@dataclass
class ServerMetrics(_Totals):
    """Counts and wall times of servers, whose passes are not seen; a step ends with `measure`."""

    _told: int = 0
    """Tokens generated when the last step ended."""
    _last: float = field(default_factory=time.monotonic)
    _window: float = field(default_factory=time.monotonic)
    _window_tokens: int = 0
    _window_streams: int = 0
    """The fewest that ran since the window began."""

    def begin(self, now: float) -> float:
        """A step begins; returns how long it was paused before."""
        gap = now - self._last
        if gap <= PAUSE_S:
            return 0.0
        self._last = now
        return gap

    def measure(self, now: float, decoding: int, streams: int) -> None:
        """A step has ended, with `decoding` of all `streams` past their first token."""
        seconds, self._last = now - self._last, now
        self._steps += 1
        # Streams may also begin and end within one step.
        self._decode_s += seconds if decoding or self.generated > self._told else 0.0
        self._told = self.generated
        self._prefill_s += seconds if decoding < streams else 0.0
        self._window_streams = min(self._window_streams, streams)
        if now - self._window < WINDOW_S:
            return
        made = self.generated - self._window_tokens
        if made > 0:  # in the terms of a batch: the time in which every stream gains a token
            self.parallel.observe(self._window_streams, (now - self._window) * self._window_streams / made)
        self._window, self._window_tokens, self._window_streams = now, self.generated, streams

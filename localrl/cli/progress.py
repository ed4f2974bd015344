"""The progress line of a run on stderr: in place on a terminal, now and then in a pipe, or not at all."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Literal

from localrl.cli.output import note
from localrl.engine.client import Restarted
from localrl.formats import count, duration, percent, rate

if TYPE_CHECKING:
    from localrl.runs.progress import Progress
    from localrl.runs.runner import RunEvent

Display = Literal["full", "plain", "none"]
EVERY_S = {"full": 0.1, "plain": 5.0}


class ProgressLine:
    """Shows `progress`; call `take` with every event, or `tick` where there are none, and `end` once."""

    def __init__(self, progress: Progress, display: Display) -> None:
        self.progress, self._display = progress, display
        self._shown = 0.0
        self._width = 0

    def take(self, event: RunEvent) -> None:
        if self._display == "none":
            return
        if isinstance(event, Restarted):
            self.say(
                f"the engine died (exit status {event.exit_status}) and was started again; the run goes on"
            )
        self.tick()

    def tick(self) -> None:
        """Draw when it is time."""
        now = time.monotonic()
        if not self._shown or now - self._shown >= EVERY_S[self._display]:
            self._shown = now
            self._show()

    def say(self, text: str) -> None:
        """A line of its own, above the one that is drawn in place."""
        self._clear()
        note(text)

    def end(self) -> None:
        if self._display == "plain":
            self._show()
        self._clear()

    def _show(self) -> None:
        text = line(self.progress)
        if self._display == "plain":
            note(text)
            return
        _draw(text.ljust(self._width))
        self._width = len(text)

    def _clear(self) -> None:
        if self._display == "full" and self._width:
            _draw(" " * self._width + "\r")
            self._width = 0


def _draw(text: str) -> None:
    """Over the line that is there."""
    with contextlib.suppress(OSError):
        sys.stderr.write("\r" + text)
        sys.stderr.flush()


def line(progress: Progress) -> str:
    """done/total, accuracy so far, tokens/s, streams, ETA."""
    total = f"/{progress.total}" if progress.total else ""
    streams = f"{progress.load.running} streams"
    if progress.load.set_aside:
        streams += f" (+{progress.load.set_aside} set aside)"
    parts = [f"{progress.done}{total}", f"{percent(progress.accuracy)} correct"]
    if progress.errors:
        parts.append(count(progress.errors, "engine error"))
    parts += [
        f"{rate(progress.tokens_per_s)} tok/s",
        streams,
        f"ETA {duration(progress.eta_s)}",
    ]
    return "  ".join(parts)


def choose(display: str | None) -> Display:
    """What fits: in place on a terminal, lines in a pipe."""
    if display in ("full", "plain", "none"):
        return display  # type: ignore[return-value]
    return "full" if sys.stderr.isatty() else "plain"

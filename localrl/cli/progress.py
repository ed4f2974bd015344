"""The line on stderr that says how far the work is: in place on a terminal, now and then in a pipe."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from localrl import sanitise
from localrl.cli.output import note
from localrl.formats import count, duration, percent, rate

if TYPE_CHECKING:
    from collections.abc import Callable

    from localrl.runs.progress import Progress


EVERY_S = {"full": 0.1, "plain": 5.0}


class _Stderr(Console):
    """A closed pipe silences it instead of ending the program."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class StatusLine:
    """While it is entered, `show` draws the line when it is time."""

    def __init__(self, display: str | None = None) -> None:
        """
        Args:
            display: "full", "plain" or "none"; by default what stderr is made for.
        """
        self._display = display or ("full" if sys.stderr.isatty() else "plain")
        self._live: Live | None = None
        self._text: Callable[[], str] | None = None
        self._shown = 0.0

    def __enter__(self) -> StatusLine:
        if self._display == "full":
            console = _Stderr(file=sanitise.drawing(sys.stderr), force_terminal=True, highlight=False)
            self._live = Live(
                console=console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            with contextlib.suppress(OSError):
                self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        live, self._live = self._live, None
        if live:
            with contextlib.suppress(OSError):
                live.stop()
        elif self._text:
            note(self._text())

    def note(self, text: str) -> None:
        """Print above the line; from any thread, also before the line is drawn."""
        if self._live:
            with contextlib.suppress(OSError):
                self._live.console.print(Text(sanitise.clean(text)), soft_wrap=True)
        elif self._display != "none":
            note(text)

    def show(self, text: Callable[[], str]) -> None:
        """Draw what `text` returns, unless it was drawn a moment ago."""
        now = time.monotonic()
        if self._display == "none" or (self._text and now - self._shown < EVERY_S[self._display]):
            return
        self._text, self._shown = text, now
        if self._live:
            with contextlib.suppress(OSError):
                line = Text(sanitise.clean(text()), no_wrap=True, overflow="ellipsis")
                self._live.update(line, refresh=True)
        else:
            note(text())


def status(progress: Progress) -> str:
    """done/total, accuracy so far, tokens/s, streams, ETA."""
    total = f"/{progress.total}" if progress.total else ""
    streams = f"{progress.metrics.running} streams"
    if progress.metrics.preempted:
        streams += f" (+{progress.metrics.preempted} preempted)"
    parts = [f"{progress.done}{total}", f"{percent(progress.accuracy)} correct"]
    if progress.errors:
        parts.append(count(progress.errors, "engine error"))
    parts += [
        f"{rate(progress.tokens_per_s)} tok/s",
        streams,
        f"ETA {duration(progress.eta_s)}",
    ]
    return "  ".join(parts)

"""Ctrl-C: the first stops after the current step, the second aborts."""

from __future__ import annotations

import signal
import threading


class Interrupts:
    """While it is entered, the first Ctrl-C sets `stopping`, also while a model is loaded."""

    def __init__(self) -> None:
        self.stopping = threading.Event()

    def __enter__(self) -> Interrupts:
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _interrupt(self, *_: object) -> None:
        if self.stopping.is_set():
            raise KeyboardInterrupt
        self.stopping.set()

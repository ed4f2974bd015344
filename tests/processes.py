"""Find processes by what they run, among whatever else a test process and its machine have going."""

from __future__ import annotations

import psutil

WORKER = "localrl.engine.worker"


def children(words: str, parent: int | None = None) -> list[psutil.Process]:
    """Living children, of this process by default, whose command line has these words."""
    found = []
    for child in psutil.Process(parent).children():
        try:
            if words in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:  # it has just ended
            continue
    return found

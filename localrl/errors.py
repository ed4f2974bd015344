"""Every error that a person may see, and the exit code it ends the program with.

    LocalrlError              1   the run failed
    ├── UsageError            2   a flag, a name or a file that the person gave is wrong
    │   └── ConfigError       2   ... inside a TOML file: carries file, line and the nearest valid key
    ├── Unavailable           3   a backend, a device or the sandbox cannot be had here
    ├── NetworkError          4   the network or the hub; trying again later may help
    ├── BelowMinimum          5   the accuracy is under `--min-accuracy`
    ├── StoreError            1   results cannot be read or written (folder, disk)
    └── Stopped             130   the person did not want to wait any longer, for a model or a download

The message is one line that says what is wrong; `hint` says what to do about it.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

INTERRUPTED = 130  # exit code after Ctrl-C: what was done is kept


class LocalrlError(Exception):
    """Base of all errors that are answered with one line instead of a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = " ".join(str(self.args[0]).split())
        return f"{message}; {self.hint}" if self.hint else message


class UsageError(LocalrlError):
    exit_code = 2


class ConfigError(UsageError):
    """A TOML file says something that localrl does not understand."""

    def __init__(self, message: str, *, file: Path | str, line: int | None = None, hint: str = "") -> None:
        super().__init__(f"{file}{f':{line}' if line else ''}: {message}", hint=hint)
        self.file, self.line = file, line


class Unavailable(LocalrlError):
    exit_code = 3


class NetworkError(LocalrlError):
    exit_code = 4


class BelowMinimum(LocalrlError):
    exit_code = 5


class StoreError(LocalrlError):
    exit_code = 1


class Stopped(LocalrlError):
    exit_code = INTERRUPTED


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names the known word closest to a mistyped one, or lists what there is."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(known)}" if known else ""

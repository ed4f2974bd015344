"""Commands as they are typed: in this process, through the program's own entry.

A process of its own costs half a second of imports. Tests start one only where the process is the property:
its signals, its descriptors, its end, or its work beside another.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest import mock

from click.testing import CliRunner

from localrl import cli

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Done:
    """What a command left behind: as much of `subprocess.CompletedProcess` as the tests read."""

    returncode: int
    stdout: str
    stderr: str


def localrl(*arguments: str, stdin: str = "", charset: str = "utf-8") -> Done:
    """Run `localrl ARGUMENTS` on streams of the given encoding that are no terminals."""
    with (
        CliRunner(charset=charset).isolation(stdin) as (stdout, stderr, _),
        mock.patch.object(sys, "argv", ["localrl", *arguments]),
        _process_state_kept(),
    ):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        sys.stdout.flush()
        sys.stderr.flush()
    assert isinstance(code, int)
    return Done(code, *(stream.getvalue().decode(charset) for stream in (stdout, stderr)))


def command(*arguments: str) -> list[str]:
    """The same as a process of its own."""
    return [sys.executable, "-m", "localrl", *arguments]


@contextmanager
def _process_state_kept() -> Iterator[None]:
    """What the program may change for the whole process: its descriptor 1 and the longest integer."""
    digits, descriptor = sys.get_int_max_str_digits(), os.dup(1)
    try:
        yield
    finally:
        os.dup2(descriptor, 1)
        os.close(descriptor)
        sys.set_int_max_str_digits(digits)

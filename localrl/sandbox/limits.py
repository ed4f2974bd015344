"""What one program may use."""

from __future__ import annotations

from dataclasses import dataclass

KIB, MIB, GIB = 1024, 1024**2, 1024**3


@dataclass(frozen=True, slots=True)
class Limits:
    wall_s: float = 6.0
    """Seconds for the program, or for each call, by the parent's monotonic clock.

    What it waited for a processor while a model was computing, say, does not count, up to `patience` times.
    """
    patience: float = 2.0
    answers: int = 1
    """How many times one process may take that long."""
    memory_bytes: int = 4 * GIB
    """Address space; on macOS resident memory, watched from outside."""
    stdout_bytes: int = MIB
    """The flood cap: a program that writes more is stopped."""
    stderr_bytes: int = 64 * MIB
    """The same for standard error, of which only `stderr_kept` are kept."""
    stderr_kept: int = 8 * KIB
    file_bytes: int = 32 * MIB
    files: int = 64
    threads: int = 64
    stack_bytes: int = 64 * MIB
    inodes: int = 10_000
    """Files that the program may have in its own `/tmp` at a time."""
    startup_s: float = 30.0
    """Seconds until the program's first instruction; longer is the machine's fault, not the program's."""

    @property
    def cpu_s(self) -> int:
        """Processor seconds: a net under the wall clock."""
        return int(self.wall_s * self.answers) + 2

"""Which bytes of a file are here: disjoint, sorted ranges, kept in a journal beside the partial file.

The journal has two parts. One is flushed to the disk after the bytes that it promises, and holds even when
the machine loses power. The other is written often and not flushed: it holds as long as the machine has not
been started again, which covers the program being killed.
"""

from __future__ import annotations

import bisect
import json
import os
from typing import TYPE_CHECKING, Any

import psutil

from localrl import paths

if TYPE_CHECKING:
    from pathlib import Path

Range = tuple[int, int]
"""First byte, and the one after the last."""


class Ranges:
    """A set of bytes, as few ranges as possible."""

    def __init__(self, ranges: list[Range] | None = None) -> None:
        self._ranges: list[Range] = []
        for start, end in ranges or []:
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        """Include the bytes from `start` to before `end`."""
        if start >= end:
            return
        ranges = self._ranges
        first = bisect.bisect_left(ranges, start, key=lambda r: r[1])
        last = bisect.bisect_right(ranges, end, key=lambda r: r[0])
        if first < last:
            start, end = min(start, ranges[first][0]), max(end, ranges[last - 1][1])
        ranges[first:last] = [(start, end)]

    def gaps(self, size: int) -> list[Range]:
        """What is missing of the first `size` bytes."""
        edges = [0, *(edge for pair in self._ranges for edge in pair), size]
        return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]

    def frontier(self) -> int:
        """How many bytes are here without a gap from the start."""
        return self._ranges[0][1] if self._ranges and self._ranges[0][0] == 0 else 0

    def total(self) -> int:
        return sum(end - start for start, end in self._ranges)

    def copy(self) -> list[Range]:
        return list(self._ranges)


class Journal:
    """The journal of one partial file of `size` bytes, whose content is named by `etag`."""

    def __init__(self, partial: Path, size: int, etag: str, path: str = "") -> None:
        self._flushed = partial.with_name(partial.name + ".json")
        self._recent = partial.with_name(partial.name + ".now")
        self._partial = partial
        self._key = {"size": size, "etag": etag}
        self._path = {"path": path}

    def read(self) -> Ranges:
        """What is on disk; nothing, if the journal is damaged, about another file, or the file is gone."""
        if not self._partial.is_file():
            return Ranges()
        return Ranges(self._load(self._flushed, self._key) + self._load(self._recent, self._key | _boot()))

    def _load(self, path: Path, key: dict[str, Any]) -> list[Range]:
        try:
            found = json.loads(path.read_text())
            if any(found[name] != value for name, value in key.items()):
                return []
            ranges = [(int(start), int(end)) for start, end in found["ranges"]]
        except (OSError, ValueError, KeyError, TypeError):
            return []
        return [(start, end) for start, end in ranges if 0 <= start < end <= int(key["size"])]

    def record(self, ranges: list[Range]) -> None:
        """Record ranges that were written, though perhaps not flushed yet."""
        self._store(self._recent, self._key | self._path | _boot() | {"ranges": ranges})

    def record_flushed(self, ranges: list[Range]) -> None:
        """Record ranges that were flushed to the disk."""
        self._store(self._flushed, self._key | self._path | {"ranges": ranges}, flush=True)

    def clear(self) -> None:
        self._recent.unlink(missing_ok=True)
        self._flushed.unlink(missing_ok=True)

    def _store(self, path: Path, content: dict[str, Any], *, flush: bool = False) -> None:
        """Replace in one step, so that a crash leaves the old or the new one."""
        fresh = path.with_name(path.name + ".new")
        with os.fdopen(paths.open_no_follow(fresh, os.O_WRONLY | os.O_TRUNC), "w") as file:
            json.dump(content, file)
            if flush:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(path)


def path_of(partial: Path) -> str:
    """The file of a repo that a partial file becomes, as its journal says; empty if it says nothing."""
    for end in (".now", ".json"):
        try:
            return str(json.loads(partial.with_name(partial.name + end).read_text())["path"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return ""


def _boot() -> dict[str, int]:
    """When the machine was started: what was written since is in its memory if not on its disk."""
    return {"boot": int(psutil.boot_time())}

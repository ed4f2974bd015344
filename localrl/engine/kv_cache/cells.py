"""Account for the KV cells of one pool that all sequences share.

A cell holds one token's keys and values and may belong to several sequences: copying one costs nothing.
A sequence is a list of segments; a segment is a run of cells that belongs to the same sequences throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(slots=True, eq=False)
class _Segment:
    length: int
    owners: int = 1


class CellPool:
    """Counts cells; the device holds them. Sequences are numbered from 0 to `sequences` - 1."""

    def __init__(self, capacity: int, sequences: int) -> None:
        self.capacity = capacity
        self.used = 0
        self._idle = list(range(sequences - 1, -1, -1))
        self._segments: dict[int, list[_Segment]] = {}

    @property
    def free(self) -> int:
        return self.capacity - self.used

    @property
    def idle_sequences(self) -> int:
        return len(self._idle)

    def create(self) -> int:
        """A new, empty sequence; raises IndexError when all numbers are taken."""
        sequence = self._idle.pop()
        self._segments[sequence] = []
        return sequence

    def append(self, sequence: int, tokens: int) -> None:
        """Take cells for further tokens; the caller has made sure that they are free."""
        if tokens > self.free:
            raise ValueError(f"{tokens} cells wanted, {self.free} free")
        segments = self._segments[sequence]
        if segments and segments[-1].owners == 1:
            segments[-1].length += tokens
        else:
            segments.append(_Segment(tokens))
        self.used += tokens

    def share(self, source: int, target: int, tokens: int) -> None:
        """Let the empty `target` begin with the first `tokens` cells of `source`."""
        self._split(source, tokens)
        left = tokens
        for segment in self._segments[source]:
            if left <= 0:
                break
            segment.owners += 1
            self._segments[target].append(segment)
            left -= segment.length

    def cut(self, sequence: int, tokens: int) -> None:
        """Let a sequence end after its first `tokens`."""
        self._split(sequence, tokens)
        segments, left = self._segments[sequence], tokens
        kept = 0
        while kept < len(segments) and left > 0:
            left -= segments[kept].length
            kept += 1
        for segment in segments[kept:]:
            self._disown(segment)
        del segments[kept:]

    def held_only_by(self, sequences: Collection[int]) -> int:
        """Cells that would become free if these sequences were given up."""
        owners: dict[int, int] = {}
        lengths: dict[int, int] = {}
        for segment in (segment for sequence in sequences for segment in self._segments[sequence]):
            owners[id(segment)] = owners.get(id(segment), segment.owners) - 1
            lengths[id(segment)] = segment.length
        return sum(lengths[which] for which, others in owners.items() if not others)

    def remove(self, sequence: int) -> None:
        """Give a sequence up; cells that no other sequence holds become free."""
        for segment in self._segments.pop(sequence):
            self._disown(segment)
        self._idle.append(sequence)

    def _disown(self, segment: _Segment) -> None:
        segment.owners -= 1
        if segment.owners == 0:
            self.used -= segment.length

    def _split(self, sequence: int, tokens: int) -> None:
        """Make sure that a segment ends at `tokens`, in every sequence that holds it."""
        start = 0
        for segment in self._segments[sequence]:
            if start < tokens < start + segment.length:
                rest = _Segment(start + segment.length - tokens, segment.owners)
                segment.length = tokens - start
                for segments in self._segments.values():
                    if segment in segments:
                        segments.insert(segments.index(segment) + 1, rest)
                return
            start += segment.length

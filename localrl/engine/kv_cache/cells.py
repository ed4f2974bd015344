"""Which cells are used, and by how many sequences each.

A cell holds one token's keys and values. In a unified cache it may belong to several sequences, so sharing a
prefix takes no cells; where every sequence has a slot of its own, sharing copies. A sequence is a list of
segments; a segment is a run of cells that belongs to the same sequences throughout.
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
    """Counts cells; the device holds them. Sequences are numbered from 0 to `sequences` - 1.

    Without a unified cache their numbers are slots, one of which stays free.
    """

    def __init__(self, capacity: int, sequences: int, unified: bool = True) -> None:
        self.capacity, self.sequences = capacity, sequences
        self.used = 0
        self.idle = set(range(sequences))
        """Numbers without a sequence."""
        self._unified = unified
        self._segments: dict[int, list[_Segment]] = {}

    @property
    def free(self) -> int:
        return self.capacity - self.used

    @property
    def full(self) -> bool:
        """Whether no further sequence can be created."""
        return len(self.idle) <= (0 if self._unified else 1)

    def create(self, last: bool = False) -> int:
        """A new, empty sequence in the first free slot, or the last; ValueError when all are taken."""
        sequence = max(self.idle) if last and not self._unified else min(self.idle)
        self.idle.remove(sequence)
        self._segments[sequence] = []
        return sequence

    def move(self, source: int, target: int) -> None:
        """Give a sequence another, free number."""
        self.idle.remove(target)
        self.idle.add(source)
        self._segments[target] = self._segments.pop(source)

    def append(self, sequence: int, tokens: int) -> None:
        """Take cells for further tokens; ValueError when fewer are free."""
        if tokens > self.free:
            raise ValueError(f"{tokens} cells wanted, {self.free} free")
        segments = self._segments[sequence]
        if segments and segments[-1].owners == 1:
            segments[-1].length += tokens
        else:
            segments.append(_Segment(tokens))
        self.used += tokens

    def share(self, source: int, target: int, tokens: int) -> None:
        """Let the empty `target` begin with the first `tokens` cells of `source`, or with copies of them."""
        if not self._unified:
            self.append(target, tokens)
            return
        self._split(source, tokens)
        left = tokens
        for segment in self._segments[source]:
            if left <= 0:
                break
            segment.owners += 1
            self._segments[target].append(segment)
            left -= segment.length

    def truncate(self, sequence: int, tokens: int) -> None:
        """Let a sequence end after its first `tokens`."""
        self._split(sequence, tokens)
        segments, left = self._segments[sequence], tokens
        whole = 0
        while whole < len(segments) and left > 0:
            left -= segments[whole].length
            whole += 1
        for segment in segments[whole:]:
            self._disown(segment)
        del segments[whole:]

    def held_only_by(self, sequences: Collection[int]) -> int:
        """Cells that would become free if these sequences were removed."""
        owners: dict[int, int] = {}
        lengths: dict[int, int] = {}
        for segment in (segment for sequence in sequences for segment in self._segments[sequence]):
            owners[id(segment)] = owners.get(id(segment), segment.owners) - 1
            lengths[id(segment)] = segment.length
        return sum(lengths[which] for which, others in owners.items() if not others)

    def remove(self, sequence: int) -> None:
        """Free a sequence's number, and the cells that no other sequence holds."""
        for segment in self._segments.pop(sequence):
            self._disown(segment)
        self.idle.add(sequence)

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

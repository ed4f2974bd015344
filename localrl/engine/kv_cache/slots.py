"""Which slot of llama.cpp's cache a sequence has, where every sequence has cells of its own.

llama.cpp computes sequences in neighbouring slots in one pass and takes a pass for each gap; so those that
run are kept side by side. One slot more than there are sequences is always free, to move through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

Move = tuple[int, int]
"""From which slot to which."""


class Slots:
    """Sequences are any numbers; slots, of `size` cells each, are numbered from 0 to `count` - 1."""

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size
        self._slots: dict[int, int] = {}
        self._free = set(range(count))

    def of(self, sequence: int, stream: bool = False) -> int:
        """The sequence's slot; if it has none yet, the lowest free one for a stream, else the highest."""
        if sequence not in self._slots:
            slot = min(self._free) if stream else max(self._free)
            self._free.remove(slot)
            self._slots[sequence] = slot
        return self._slots[sequence]

    def give_up(self, sequence: int) -> int | None:
        """Free the sequence's slot; which it was, or None when it had none."""
        slot = self._slots.pop(sequence, None)
        if slot is not None:
            self._free.add(slot)
        return slot

    def arrange(self, running: Collection[int]) -> list[Move]:
        """Bring the running sequences side by side; the moves, in order.

        A move costs about as much as the pass that a gap costs in every step.
        """
        taken = sorted(self.of(sequence) for sequence in running)
        if not taken or taken[-1] - taken[0] < len(taken):
            return []
        plans = (self._into(range(start, start + len(taken)), taken) for start in self._starts(len(taken)))
        moves = min((plan for plan in plans if plan is not None), key=len, default=[])
        sequence_in = {slot: sequence for sequence, slot in self._slots.items()}
        for source, target in moves:
            sequence = sequence_in[target] = sequence_in.pop(source)
            self._slots[sequence] = target
            self._free.remove(target)
            self._free.add(source)
        return moves

    def _starts(self, length: int) -> range:
        return range(self.count - length + 1)

    def _into(self, window: range, taken: list[int]) -> list[Move] | None:
        """The moves that bring the slots `taken` into `window`; None where there is no room to begin."""
        holes = [slot for slot in window if slot not in taken]
        holes.sort(key=lambda slot: slot not in self._free)  # those that are free need no room elsewhere
        elsewhere = [slot for slot in self._free if slot not in window]
        moves: list[Move] = []
        for source, hole in zip((slot for slot in taken if slot not in window), holes, strict=True):
            if hole not in self._free:  # somebody rests there
                if not elsewhere:
                    return None
                moves.append((hole, elsewhere.pop()))
            moves.append((source, hole))
            elsewhere.append(source)
        return moves

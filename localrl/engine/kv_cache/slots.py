"""Which slots to move so that the running sequences stand side by side.

Where every sequence has a slot of its own in the cache, llama.cpp computes neighbouring slots in one pass and
takes another pass for each gap. One slot is always free, to move through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

Move = tuple[int, int]
"""From which slot to which."""


def side_by_side(running: Collection[int], free: Collection[int], count: int) -> list[Move]:
    """The fewest moves, in order, that leave no gap between the running slots.

    A move costs about as much as the pass that a gap costs in every step.

    Args:
        running: slots that are computed in the next steps; the others that are not free rest.
        count: of all slots, which are numbered from 0.
    """
    taken = sorted(running)
    if not taken or taken[-1] - taken[0] < len(taken):
        return []
    windows = (range(start, start + len(taken)) for start in range(count - len(taken) + 1))
    idle = set(free)
    plans = (_into(window, taken, idle) for window in windows)
    return min((plan for plan in plans if plan is not None), key=len, default=[])


def _into(window: range, taken: list[int], free: set[int]) -> list[Move] | None:
    """The moves that bring the slots `taken` into `window`; None where there is no room to begin."""
    holes = [slot for slot in window if slot not in taken]
    holes.sort(key=lambda slot: slot not in free)  # those that are free need no room elsewhere
    elsewhere = [slot for slot in free if slot not in window]
    moves: list[Move] = []
    for source, hole in zip((slot for slot in taken if slot not in window), holes, strict=True):
        if hole not in free:  # one that rests is there
            if not elsewhere:
                return None
            moves.append((hole, elsewhere.pop()))
        moves.append((source, hole))
        elsewhere.append(source)
    return moves

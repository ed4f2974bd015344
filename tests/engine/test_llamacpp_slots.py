"""Running sequences end up side by side, and nobody's cells are lost on the way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from localrl.engine.llamacpp_slots import PATIENCE, Slots


def arranged(slots: Slots, running: list[int]) -> list[tuple[int, int]]:
    """The moves after a gap that stayed."""
    return [move for _ in range(PATIENCE) for move in slots.arrange(running)]


@given(
    count=st.integers(1, 12),
    taken=st.lists(st.integers(0, 11), unique=True),
    running=st.sets(st.integers(0, 11)),
)
def test_moves_bring_the_running_side_by_side_and_keep_every_content(
    count: int, taken: list[int], running: set[int]
) -> None:
    slots = Slots(count, 256)
    held = taken[:count]
    content = {slots.of(sequence): sequence for sequence in held}
    now = [sequence for sequence in held if sequence in running]
    for source, target in arranged(slots, now):
        assert target not in content
        content[target] = content.pop(source)
    assert content == {slots.of(sequence): sequence for sequence in held}
    places = sorted(slots.of(sequence) for sequence in now)
    if now and len(held) < count:
        assert places[-1] - places[0] == len(now) - 1 or len(held) - len(now) > count - len(held)


def test_a_gap_that_is_soon_filled_moves_nothing() -> None:
    slots = Slots(4, 256)
    for sequence in (7, 8, 9):
        slots.of(sequence)
    assert slots.give_up(8) == 1
    assert all(not slots.arrange([7, 9]) for _ in range(PATIENCE - 1))
    assert slots.of(5) == 1
    assert not slots.arrange([7, 5, 9])
    assert not slots.arrange([7, 9])  # a new gap begins a new wait


def test_the_fewest_moves_are_made() -> None:
    slots = Slots(6, 256)
    for sequence in range(6):
        slots.of(sequence)
    slots.give_up(1)
    slots.give_up(5)
    assert len(arranged(slots, [0, 2, 3, 4])) == 1
    places = sorted(slots.of(sequence) for sequence in (0, 2, 3, 4))
    assert places[-1] - places[0] == 3


def test_a_sequence_without_a_slot_gives_none_up() -> None:
    assert Slots(2, 256).give_up(3) is None

"""Running sequences stand side by side, and nobody's cells are lost on the way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from localrl.engine.kv_cache.slots import Slots


@given(
    count=st.integers(2, 12),
    taken=st.lists(st.tuples(st.integers(0, 11), st.booleans()), unique_by=lambda one: one[0]),
    gone=st.sets(st.integers(0, 11)),
    running=st.sets(st.integers(0, 11)),
)
def test_moves_bring_the_running_side_by_side_and_keep_every_content(
    count: int, taken: list[tuple[int, bool]], gone: set[int], running: set[int]
) -> None:
    slots = Slots(count, 256)
    content = {slots.of(sequence, stream): sequence for sequence, stream in taken[: count - 1]}
    for sequence in gone & set(content.values()):
        slot = slots.give_up(sequence)
        assert slot is not None
        assert content.pop(slot) == sequence
    held = list(content.values())
    now = [sequence for sequence in held if sequence in running]
    for source, target in slots.arrange(now):
        assert target not in content
        content[target] = content.pop(source)
    assert content == {slots.of(sequence): sequence for sequence in held}
    places = sorted(slots.of(sequence) for sequence in now)
    assert not now or places[-1] - places[0] == len(now) - 1
    assert not slots.arrange(now)


def test_the_fewest_moves_are_made() -> None:
    slots = Slots(7, 256)
    for sequence in range(6):
        slots.of(sequence, stream=True)
    slots.give_up(1)
    assert slots.arrange([0, 2, 3, 4]) in ([(0, 1)], [(4, 1)])


def test_prompts_rest_away_from_the_streams() -> None:
    slots = Slots(5, 256)
    assert [slots.of(0), slots.of(1, stream=True), slots.of(2), slots.of(3, stream=True)] == [4, 0, 3, 1]


def test_a_sequence_without_a_slot_gives_none_up() -> None:
    assert Slots(2, 256).give_up(3) is None

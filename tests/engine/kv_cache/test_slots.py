"""Running sequences stand side by side, and nobody's cells are lost on the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localrl.engine.kv_cache.cells import CellPool
from localrl.engine.kv_cache.slots import side_by_side


@given(count=st.integers(2, 12), held=st.sets(st.integers(0, 11)), running=st.sets(st.integers(0, 11)))
def test_moves_bring_the_running_side_by_side_and_keep_every_content(
    count: int, held: set[int], running: set[int]
) -> None:
    content = {slot: f"of {slot}" for slot in sorted(held)[: count - 1] if slot < count}
    before, now = set(content.values()), [slot for slot in content if slot in running]
    runs = {content[slot] for slot in now}
    for source, target in side_by_side(now, set(range(count)) - set(content), count):
        assert target not in content
        content[target] = content.pop(source)
    assert set(content.values()) == before
    places = sorted(slot for slot in content if content[slot] in runs)
    assert not now or places[-1] - places[0] == len(now) - 1
    assert not side_by_side(places, set(range(count)) - set(content), count)


def test_the_fewest_moves_are_made() -> None:
    assert side_by_side([0, 2, 3, 4], {1, 6}, 7) in ([(0, 1)], [(4, 1)])


def test_prompts_rest_away_from_the_streams_and_one_slot_stays_free() -> None:
    pool = CellPool(5 * 256, 5, unified=False)
    assert [pool.create(last=True), pool.create(), pool.create(last=True), pool.create()] == [4, 0, 3, 1]
    assert pool.full
    assert pool.idle == {2}


def test_a_moved_sequence_keeps_its_cells() -> None:
    pool = CellPool(100, 3, unified=False)
    sequence = pool.create()
    pool.append(sequence, 10)
    pool.move(sequence, 2)
    assert (pool.used, pool.idle) == (10, {0, 1})
    pool.remove(2)
    assert pool.used == 0
    with pytest.raises(KeyError):
        pool.remove(sequence)

from __future__ import annotations

from localrl.tui.widgets.bench.stream import _joined
from localrl.tui.words import pace


def test_an_answer_stands_apart_from_the_thinking_before_it_however_they_arrive() -> None:
    assert _joined([(True, "a"), (True, "b"), (False, "\nc"), (False, "d")], thought=False) == [
        (True, "ab"),
        (False, "\n\ncd"),
    ]
    assert _joined([(False, "c")], thought=True) == [(False, "\n\nc")]
    assert _joined([(False, "c")], thought=False) == [(False, "c")]
    assert _joined([(True, "a")], thought=True) == [(True, "a")]


def test_a_slow_pace_is_not_rounded_to_none() -> None:
    assert [pace(rate) for rate in (None, 0.44, 9.94, 9.96, 214.4)] == ["–", "0.4", "9.9", "10", "214"]

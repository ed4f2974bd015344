from __future__ import annotations

from localrl.tui.widgets.bench.stream import _joined


def test_an_answer_stands_apart_from_the_thinking_before_it_however_they_arrive() -> None:
    assert _joined([(True, "a"), (True, "b"), (False, "\nc"), (False, "d")], thought=False) == [
        (True, "ab"),
        (False, "\n\ncd"),
    ]
    assert _joined([(False, "c")], thought=True) == [(False, "\n\nc")]
    assert _joined([(False, "c")], thought=False) == [(False, "c")]
    assert _joined([(True, "a")], thought=True) == [(True, "a")]

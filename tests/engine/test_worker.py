"""What the worker sends, and when: few messages, nothing late that somebody waits for, nothing lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from localrl.engine.protocol import Finished, FinishReason, Metrics, Started, Text
from localrl.engine.worker import TOGETHER_S, Outbox

if TYPE_CHECKING:
    from localrl.engine.protocol import Event


class Sent:
    """An outbox on a clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0
        self.messages: list[list[Event]] = []
        self.outbox = Outbox(self.messages.append, lambda: self.now)
        self.outbox.add([Metrics()])  # the first goes at once
        self.messages.clear()


def test_quick_steps_share_a_message_with_one_text_a_stream_and_the_last_figures() -> None:
    sent = Sent()
    for step, word in enumerate(["a", "b", "c"]):
        sent.outbox.add([Text("x", word, False), Text("y", word.upper(), False), Metrics(steps=step)])
    assert not sent.messages
    sent.now += TOGETHER_S
    sent.outbox.add([Metrics(steps=3)])
    assert sent.messages == [[Text("x", "abc", False, 3), Text("y", "ABC", False, 3), Metrics(steps=3)]]


def test_slow_steps_are_sent_one_by_one() -> None:
    sent = Sent()
    for step in range(5):
        sent.now += TOGETHER_S
        sent.outbox.add([Metrics(steps=step)])
    assert sent.messages == [[Metrics(steps=step)] for step in range(5)]


def test_the_start_and_the_end_of_a_sample_never_wait_and_come_after_its_text() -> None:
    sent = Sent()
    sent.outbox.add([Text("x", "a", True)])
    sent.outbox.add([Started("y", False), Metrics(steps=1)])
    assert sent.messages.pop() == [Text("x", "a", True), Started("y", False), Metrics(steps=1)]
    sent.outbox.add([Text("y", "b", False)])
    end = Finished("y", FinishReason.STOP, "b")
    sent.outbox.add([end])
    assert sent.messages.pop() == [Text("y", "b", False), end]


@given(
    st.lists(
        st.tuples(st.sampled_from("xyz"), st.booleans(), st.text(min_size=1, max_size=3), st.booleans()),
        max_size=40,
    )
)
def test_every_stream_s_text_arrives_whole_and_in_order(pushed: list[tuple[str, bool, str, bool]]) -> None:
    sent = Sent()
    for name, thinking, text, pause in pushed:
        sent.now += TOGETHER_S if pause else 0.0
        sent.outbox.add([Text(name, text, thinking)])
    sent.outbox.flush()
    got = [event for message in sent.messages for event in message if isinstance(event, Text)]
    for stream in "xyz":
        marked = [(kind, char) for name, kind, text, _ in pushed if name == stream for char in text]
        assert [(e.thinking, char) for e in got if e.sample == stream for char in e.text] == marked

"""What servers and gateways write in their own way: liberal in what ends a text, strict in what counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from localrl.engine.conformance import run
from localrl.engine.protocol import FinishReason
from tests.engine.backends.server.hostile_server import Conversation, backend_for, group, hostile

if TYPE_CHECKING:
    from localrl.engine.protocol import Finished

ANSWER = "The answer is 2."
COUNTED = {"prompt_tokens": 12, "completion_tokens": 5}


def event(value: Any) -> bytes:
    return b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


SAID, END, DONE = chunk(content=ANSWER), chunk("stop"), event(b"[DONE]")
USAGE = event({"choices": [], "usage": COUNTED})


def answer(*parts: bytes, kind: str = "text/event-stream") -> Finished:
    """What one sample becomes when the server sends these bytes."""

    def script(to: Conversation) -> None:
        to.begin(kind=kind)
        for part in parts:
            to.send(part)

    with hostile(script) as server:
        backend = backend_for(server)
        end = run(backend, [group()])["g.0"].finished
        backend.close()
    return end


@pytest.mark.parametrize(
    "parts",
    [
        (event(b": keepalive"), SAID, event(b": keepalive"), END, USAGE, DONE),
        tuple(part.replace(b"\n", b"\r") for part in (SAID, END, USAGE, DONE)),
        tuple(part.replace(b"\n", b"\r\n") for part in (SAID, END, USAGE, DONE)),
        tuple(part.replace(b"\n\n", b"\n") for part in (SAID, END, USAGE, DONE)),
        (SAID, END, event({"choices": None, "usage": COUNTED}), DONE),
        (SAID, END, event({"usage": COUNTED}), DONE),
        (SAID, event({"choices": [{"index": None, "delta": {}, "finish_reason": "stop"}]}), USAGE, DONE),
        (
            chunk(content=[{"type": "text", "text": "The answer "}, {"type": "text", "text": "is 2."}]),
            END,
            DONE,
        ),
        (event({"choices": [{"message": {"content": ANSWER}, "finish_reason": "stop"}]}), USAGE, DONE),
        (SAID, USAGE, DONE),
        (event(SAID[6:-2].replace(b", ", b",\ndata: ")), END, USAGE, DONE),
    ],
    ids=[
        *("keep-alives as data", "CR", "CRLF", "no blank lines", "choices null", "no choices", "index null"),
        *("content in parts", "a whole message", "no reason but a count", "an event of several lines"),
    ],
)
def test_a_text_that_is_whole_counts(parts: tuple[bytes, ...]) -> None:
    end = answer(*parts)
    assert (end.reason, end.text) == (FinishReason.STOP, ANSWER), end.error


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("stop eos eos_token stop_sequence end_turn tool_calls function_call", FinishReason.STOP),
        ("length max_tokens model_length max_output_tokens MAX_TOKENS", FinishReason.LENGTH),
    ],
)
def test_the_reasons_of_other_families_are_known(words: str, reason: FinishReason) -> None:
    found = {word: answer(SAID, chunk(word), USAGE, DONE).reason for word in words.split()}
    assert found == dict.fromkeys(found, reason)


def test_counts_that_are_null_are_estimated() -> None:
    nothing = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"))
    end = answer(SAID, END, event({"choices": [], "usage": nothing}), DONE)
    assert (end.reason, end.estimated) == (FinishReason.STOP, True)
    assert end.prompt_tokens > 0


def test_an_answer_in_one_piece_counts_although_a_stream_was_asked_for() -> None:
    whole = {"choices": [{"message": {"content": ANSWER}, "finish_reason": "stop"}], "usage": COUNTED}
    end = answer(json.dumps(whole).encode(), kind="application/json")
    assert (end.reason, end.text, end.answer_tokens) == (FinishReason.STOP, ANSWER, 5)


@pytest.mark.parametrize("parts", [(SAID,), (SAID, USAGE), (SAID, DONE)], ids=["torn", "no end", "no count"])
def test_a_text_whose_end_nobody_says_does_not_count(parts: tuple[bytes, ...]) -> None:
    assert answer(*parts).reason is FinishReason.ERROR


def test_the_key_is_in_no_text_that_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-secret-123456"
    monkeypatch.setenv("LOCALRL_API_KEY", key)
    end = answer(chunk(content=f"your key is {key}, "), chunk(content=key), END, USAGE, DONE)
    assert end.text == "your key is ***, ***"

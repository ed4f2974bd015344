"""Servers that misbehave cost their samples an `engine_error` and a clear line, never a hang or a crash."""

from __future__ import annotations

import json
import resource
import sys
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from localrl.engine.backends.server.backend import Patience
from localrl.engine.conformance import run
from localrl.engine.protocol import FinishReason
from localrl.errors import Unavailable
from tests.engine.backends.server.hostile_server import (
    IMPATIENT,
    QUICK,
    Conversation,
    backend_for,
    ends,
    group,
    hostile,
    nap,
)

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow  # servers that are waited for


def garbage(to: Conversation) -> None:
    to.begin()
    to.text("so ")
    to.send(b"data: {]]] this is no JSON\x1b[2J\n\n")


def half_a_stream(to: Conversation) -> None:
    to.begin()
    to.text("so far ")


def error_in_a_200(to: Conversation) -> None:
    to.begin(kind="application/json")
    to.send(json.dumps({"error": {"message": "CUDA out of memory", "code": 500}}).encode())


def error_in_the_stream(to: Conversation) -> None:
    to.begin()
    to.text("so ")
    to.event({"error": {"message": "the engine core died"}})


def without_end(to: Conversation) -> None:
    to.begin()
    for _ in range(100_000):
        to.text("and ")


def pings_without_end(to: Conversation) -> None:
    to.begin()
    for _ in range(200):
        to.send(b": ping\n\ndata: {}\n\n")
        nap(0.05)


def silence(to: Conversation) -> None:
    to.begin()
    to.text("so ")
    nap(8)


def negative_count(to: Conversation) -> None:
    to.begin()
    to.text("so ")
    to.finish()
    to.usage(-4)


def enormous_count(to: Conversation) -> None:
    to.begin()
    to.text("so ")
    to.finish()
    to.usage(10**12)


def no_count(to: Conversation) -> None:
    to.begin()
    to.text("so ")
    to.finish()
    to.usage("many")


def enormous_prompt_count(to: Conversation) -> None:
    to.begin()
    to.text("so ")
    to.finish()
    to.usage(1, prompt=10**30)


def no_http(to: Conversation) -> None:
    to.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n")


def torn(to: Conversation) -> None:
    to.begin(Content_Length="100000")
    to.text("so far ")


def error_over_several_lines(to: Conversation) -> None:
    to.begin(kind="application/json")
    to.send(json.dumps({"error": {"message": "the model is asleep"}}, indent=2).encode())


def empty_chunks_without_end(to: Conversation) -> None:
    to.begin()
    to.text("so ")
    for _ in range(100_000):
        to.text("")


def long_line(to: Conversation) -> None:
    to.begin()
    to.send(b'data: {"choices": [{"delta": {"content": "')
    block = b"x" * (1 << 20)
    for _ in range(1000):
        to.send(block)


def web_page(to: Conversation) -> None:
    to.begin(kind="text/html")
    to.send(b"<html><body>Please log in</body></html>")


def wrong_types(to: Conversation) -> None:
    to.begin()
    to.event({"choices": [{"index": 0, "delta": {"content": 7}}]})


def another_text(to: Conversation) -> None:
    to.begin()
    to.text("so ", index=7)


def deep_nesting(to: Conversation) -> None:
    to.begin()
    to.send(b"data: " + b"[" * 200_000 + b"\n\n")


def much_text_in_one_piece(to: Conversation) -> None:
    to.begin()
    to.text("x" * 900_000)
    to.finish()


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (garbage, "no sense"),
        (half_a_stream, "ended before"),
        (error_in_a_200, "CUDA out of memory"),
        (error_in_the_stream, "engine core died"),
        (without_end, "more text than"),
        (pings_without_end, "no text for too long"),
        (silence, "no text for too long"),
        (negative_count, "no sense"),
        (enormous_count, "counts 1000000000000 tokens"),
        (no_count, "no sense"),
        (enormous_prompt_count, "of a prompt that is shorter"),
        (no_http, "no HTTP"),
        (torn, "in the middle of the answer"),
        (error_over_several_lines, "the model is asleep"),
        (empty_chunks_without_end, "chunks without text"),
        (long_line, "a line of more than"),
        (web_page, "Please log in"),
        (wrong_types, "no sense"),
        (another_text, "was not asked for"),
        (deep_nesting, "no sense"),
        (much_text_in_one_piece, "more text than"),
    ],
)
def test_a_hostile_answer_is_an_error_with_a_clear_line(
    script: Callable[[Conversation], None], says: str
) -> None:
    patience = IMPATIENT if script in (pings_without_end, silence) else QUICK
    with hostile(script) as server:
        end = ends(server, patience=patience)["g.0"]
    assert end.reason is FinishReason.ERROR
    assert says in end.error
    assert end.error.startswith(server.url)
    assert end.error.isprintable()
    assert len(end.error) < 600
    assert len(server.requests) == QUICK.broken_tries


def test_a_line_of_a_gigabyte_takes_no_memory() -> None:
    unit = 1 if sys.platform == "darwin" else 1024
    before = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with hostile(long_line) as server:
        ends(server)
    assert unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 20


def test_a_broken_answer_is_tried_again_and_counts_once() -> None:
    with hostile(half_a_stream, Conversation.good) as server:
        backend = backend_for(server)
        found = run(backend, [group()])["g.0"]
        backend.close()
    assert (found.reason, found.text, found.starts) == (FinishReason.STOP, "all is well", 2)
    assert found.finished.answer_tokens == 3
    assert "".join(text.text for text in found.texts) == "all is well"


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_an_overloaded_server_is_asked_again_later(status: int) -> None:
    def overloaded(to: Conversation) -> None:
        to.begin(status, "application/json", Retry_After="0")

    with hostile(overloaded, overloaded, Conversation.good) as server:
        assert ends(server)["g.0"].text == "all is well"


def test_a_dead_endpoint_is_left_out_and_its_samples_go_elsewhere() -> None:
    with hostile(Conversation.good) as alive, hostile(Conversation.good) as dead:
        backend = backend_for(alive, dead)
        dead.close()
        found = run(backend, [group(f"g{i}") for i in range(12)])
        backend.close()
    assert len(found) == 12
    assert {outcome.text for outcome in found.values()} == {"all is well"}


def test_an_endpoint_that_is_dead_from_the_beginning_does_not_stop_the_run() -> None:
    with hostile(Conversation.good) as alive, hostile(Conversation.good) as dead:
        dead.close()
        assert ends(dead, alive)["g.0"].text == "all is well"


def test_without_any_endpoint_the_engine_gives_up_in_words() -> None:
    with hostile(Conversation.good) as server:
        backend = backend_for(server, patience=Patience(first_retry_s=0.01, tries=1000, outage_s=1.0))
        server.close()
        with pytest.raises(Unavailable, match="no endpoint"):
            run(backend, [group(k=3)])
        backend.close()
        with pytest.raises(Unavailable, match="connection failed"):
            backend_for(server)


@pytest.mark.parametrize(
    ("status", "says"),
    [(401, "LOCALRL_API_KEY"), (403, "LOCALRL_API_KEY"), (404, "model's name"), (307, "http://elsewhere/")],
)
def test_a_server_that_will_not_serve_us_ends_the_run_soon_and_says_what_to_do(
    status: int, says: str
) -> None:
    def denies(to: Conversation) -> None:
        to.begin(status, "application/json", Location="http://elsewhere/v1")
        to.send(b'{"error": {"message": "not here"}}')

    with hostile(denies) as server:
        backend = backend_for(server, patience=Patience())
        with pytest.raises(Unavailable, match=f"HTTP {status}.*{says}.*not here"):
            run(backend, [group(k=3)], seconds=30)
        backend.close()


def test_a_server_that_is_denied_to_us_costs_nothing_when_another_serves() -> None:
    def denies(to: Conversation) -> None:
        to.begin(403, "application/json")

    with hostile(denies) as closed, hostile(Conversation.good) as open_to_us:
        found = ends(closed, open_to_us, groups=tuple(group(f"g{i}") for i in range(12)))
    assert {end.text for end in found.values()} == {"all is well"}


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_turns_us_away_for_ever_ends_the_run(status: int) -> None:
    def turns_away(to: Conversation) -> None:
        to.begin(status, "application/json", Retry_After="0")
        to.send(b'{"error": "too much to do"}')

    with hostile(turns_away) as server:
        backend = backend_for(server, patience=Patience(outage_s=1.0))
        with pytest.raises(Unavailable, match=f"the last said: .*HTTP {status}: too much to do"):
            run(backend, [group()], seconds=30)
        backend.close()


def test_a_server_that_turns_others_away_while_it_works_for_us_is_well() -> None:
    def works(to: Conversation) -> None:
        to.begin()
        for _ in range(30):
            to.text("word ")
            nap(0.1)
        to.finish()
        to.done()

    def turns_away(to: Conversation) -> None:
        to.begin(429, "application/json", Retry_After="1")

    with hostile(works, turns_away, Conversation.good) as server:
        patience = Patience(outage_s=1.0)
        assert len(ends(server, groups=(group("a"), group("b")), parallel=2, patience=patience)) == 2


def test_the_date_until_which_a_server_asks_to_wait_is_obeyed() -> None:
    times = []

    def busy(to: Conversation) -> None:
        times.append(time.monotonic())
        to.begin(429, "application/json", Retry_After=formatdate(time.time() + 3, usegmt=True))

    def good(to: Conversation) -> None:
        times.append(time.monotonic())
        to.good()

    with hostile(busy, good) as server:
        ends(server)
    assert times[1] - times[0] > 1.5


def test_broken_answers_leave_no_tokens_in_the_metrics() -> None:
    with hostile(without_end, without_end, half_a_stream, half_a_stream) as server:
        backend = backend_for(server)
        run(backend, [group("a")])
        run(backend, [group("b")])
        metrics = backend._metrics()
        backend.close()
    assert metrics.generated_tokens == 0


def test_an_event_may_have_several_lines_and_a_stream_a_byte_order_mark() -> None:
    def lines(to: Conversation) -> None:
        to.begin()
        to.send(b'\xef\xbb\xbfdata: {"choices": [{"index": 0,\r\n')
        to.send(b'data: "delta": {"content": "all is well"}}]}\r\n\r\n')
        to.finish()
        to.done()

    with hostile(lines) as server:
        assert ends(server)["g.0"].text == "all is well"
        assert len(server.requests) == 1


def test_a_request_that_the_server_rejects_is_refused_with_its_words() -> None:
    def rejects(to: Conversation) -> None:
        to.begin(400, "application/json")
        to.send(b'{"error": {"message": "maximum context length is 4096 tokens"}}')

    with hostile(rejects) as server:
        end = ends(server)["g.0"]
    assert end.reason is FinishReason.REFUSED
    assert "4096 tokens" in end.error
    assert len(server.requests) == 1


def many_lines_in_an_event(to: Conversation) -> None:
    to.begin()
    for _ in range(64):
        to.send(b"data: [\n" * 4096)


def test_an_event_of_many_lines_costs_time_in_proportion_and_is_refused() -> None:
    began = time.process_time()
    with hostile(many_lines_in_an_event) as server:
        end = ends(server)["g.0"]
    assert end.reason is FinishReason.ERROR
    assert "no sense" in end.error
    assert time.process_time() - began < 20  # parsing all of it at every line took minutes


@pytest.mark.parametrize("reason", ["content_filter", "abort", "no such reason"])
def test_an_end_that_asking_again_would_not_change_is_asked_once(reason: str) -> None:
    def script(to: Conversation) -> None:
        to.begin()
        to.text("so ")
        to.finish(reason)

    with hostile(script) as server:
        end = ends(server)["g.0"]
        assert len(server.requests) == 1
    assert end.reason is FinishReason.ERROR
    assert reason in end.error

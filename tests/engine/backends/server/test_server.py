"""What a server is asked for, and what of its answers is believed."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from localrl.chat import Message, ThinkingControl, ThinkingTags
from localrl.engine.backends.server.backend import Patience, ServerBackend
from localrl.engine.backends.server.responses import LONGEST_QUOTE
from localrl.engine.conformance import run
from localrl.engine.protocol import EngineSettings, FinishReason, GroupRequest, SampleRequest
from localrl.errors import UsageError
from localrl.sampling import Sampling
from localrl.thinking import split
from tests.engine.backends.server.hostile_server import (
    MODEL,
    Conversation,
    backend_for,
    ends,
    group,
    hostile,
    nap,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def test_fields_that_a_server_does_not_know_are_left_out_unless_they_matter() -> None:
    def strict(to: Conversation) -> None:
        if unknown := {"min_p", "top_k", "stream_options"} & to.body.keys():
            to.begin(400, "application/json")
            to.send(json.dumps({"error": {"message": f"unknown argument {min(unknown)}"}}).encode())
        else:
            to.good()

    matters = GroupRequest(
        "m",
        (Message(role="user", content="x"),),
        (SampleRequest("m.0", 1),),
        Sampling(temperature=1.0, top_k=20, max_tokens=9),
    )
    with hostile(strict) as server:
        patience = Patience(first_retry_s=0.01, longest_retry_s=0.02)
        found = ends(server, groups=(group(),), patience=patience)
        assert found["g.0"].text == "all is well"
        refused = ends(server, groups=(matters,), patience=patience)["m.0"]
    assert refused.reason is FinishReason.REFUSED
    assert "top_k" in refused.error


def test_length_is_length_and_usage_is_believed() -> None:
    def cut(to: Conversation) -> None:
        to.begin()
        to.text("a b c d")
        to.finish("length")
        to.usage(40, prompt=12)
        to.done()

    with hostile(cut) as server:
        end = ends(server)["g.0"]
    assert (end.reason, end.answer_tokens, end.prompt_tokens) == (FinishReason.LENGTH, 40, 12)
    assert not end.estimated


def test_without_usage_tokens_are_counted_and_marked() -> None:
    def silent_about_tokens(to: Conversation) -> None:
        to.begin()
        for word in ("one ", "two ", "three"):
            to.text(word)
        to.finish()
        to.done()

    with hostile(silent_about_tokens) as server:
        end = ends(server)["g.0"]
    assert end.answer_tokens == 3
    assert end.estimated


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_in_a_field_of_its_own_is_thinking(name: str) -> None:
    tags = ThinkingTags()

    def reasons(to: Conversation) -> None:
        to.begin()
        for word in ("let me ", "see"):
            to.event({"choices": [{"index": 0, "delta": {name: word}}]})
        to.text("it is 4")
        to.finish()
        to.event({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 30}})
        to.done()

    with hostile(reasons) as server:
        backend = backend_for(server)
        found = run(backend, [group(thinking=tags)])["g.0"]
        backend.close()
    parts = split(found.text, tags, found.finished.starts_thinking)
    assert (parts.thinking, parts.answer) == ("let me see", "it is 4")
    assert [(text.thinking, text.text) for text in found.texts] == [
        (True, "let me "),
        (True, "see"),
        (False, "it is 4"),
    ]
    assert (found.finished.thinking_tokens, found.finished.answer_tokens) == (20, 10)


def test_a_closing_tag_alone_shows_that_the_template_opened_it() -> None:
    tags = ThinkingTags()
    with hostile(lambda to: to.good("let me see", "</think>", "it is 4")) as server:
        backend = backend_for(server)
        first = run(backend, [group("a", thinking=tags)])["a.0"]
        second = run(backend, [group("b", thinking=tags)])["b.0"]
        backend.close()
    for outcome in (first, second):
        assert split(outcome.text, tags, outcome.finished.starts_thinking).answer == "it is 4"
        assert outcome.finished.thinking_tokens == 2
    assert [text.thinking for text in second.texts] == [True, False]


def test_vllm_is_asked_for_all_samples_of_a_group_at_once() -> None:
    def several(to: Conversation) -> None:
        to.begin()
        for word in range(3):
            for index in range(to.body["n"]):
                chunk = {"index": index, "delta": {"content": f"{index}{word} "}}
                counted = {"prompt_tokens": 9, "completion_tokens": 2 * (word + 1)}
                to.event({"choices": [chunk], "usage": counted})
        for index in range(to.body["n"]):
            to.finish(index=index)
        to.usage(6 * to.body["n"], prompt=9)
        to.done()

    with hostile(several, owner="vllm") as server:
        found = ends(server, groups=(group(k=4),), parallel=8)
    assert [body["n"] for body in server.requests] == [4]
    assert [found[f"g.{i}"].text for i in range(4)] == [f"{i}0 {i}1 {i}2 " for i in range(4)]
    assert {end.answer_tokens for end in found.values()} == {6}
    assert not any(end.estimated for end in found.values())


def test_samples_left_over_by_a_broken_group_are_asked_for_again() -> None:
    def only_two(to: Conversation) -> None:
        to.begin()
        for index in range(2):
            to.text("first time", index=index)
            to.finish(index=index)

    def the_rest(to: Conversation) -> None:
        to.begin()
        for index in range(to.body["n"]):
            to.text("second time", index=index)
            to.finish(index=index)
        to.done()

    with hostile(only_two, the_rest, owner="vllm") as server:
        found = ends(server, groups=(group(k=4),), parallel=8)
    assert [found[f"g.{i}"].text for i in range(4)] == ["first time"] * 2 + ["second time"] * 2
    assert [body["n"] for body in server.requests] == [4, 2]


def test_samples_have_their_own_seeds_and_all_settings_are_sent() -> None:
    with hostile(Conversation.good) as server:
        ends(server, groups=(group(k=3),))
    assert sorted(body["seed"] for body in server.requests) == [10, 11, 12]
    assert {"temperature", "top_p", "top_k", "min_p", "max_tokens"} <= server.requests[0].keys()


@pytest.mark.parametrize(
    ("owner", "field"), [("vllm", "thinking_token_budget"), ("llamacpp", "thinking_budget_tokens")]
)
def test_a_server_is_told_the_budget_by_the_name_that_it_knows(owner: str, field: str) -> None:
    asked = replace(group(), control=ThinkingControl(budget=64, effort="low"))
    with hostile(Conversation.good, owner=owner) as server:
        ends(server, groups=(asked,))
    assert (server.requests[0][field], server.requests[0]["reasoning_effort"]) == (64, "low")


def test_a_budget_is_refused_where_the_server_is_not_known_to_take_one() -> None:
    asked = replace(group(), control=ThinkingControl(budget=64))
    with hostile(Conversation.good) as server:
        end = ends(server, groups=(asked,))["g.0"]
    assert (end.reason, server.requests) == (FinishReason.REFUSED, [])


def test_thinking_off_and_penalties_are_sent_by_the_names_of_the_server() -> None:
    sampling = Sampling(presence_penalty=1.5, repetition_penalty=1.1)
    asked = replace(group(), sampling=sampling, control=ThinkingControl(enabled=False))
    with hostile(Conversation.good, owner="llamacpp") as server:
        ends(server, groups=(asked,))
    body = server.requests[0]
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert (body["presence_penalty"], body["repeat_penalty"], body["repeat_last_n"]) == (1.5, 1.1, -1)


def test_no_more_requests_run_than_asked_for() -> None:
    lock, running, most = threading.Lock(), 0, 0

    def slow(to: Conversation) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        nap(0.2)
        with lock:  # before the reply: with its last byte the next request may come
            running -= 1
        to.good()

    with hostile(slow) as server:
        ends(server, groups=(group(k=9),), parallel=3)
    assert 1 < most <= 3


@pytest.mark.slow
def test_the_number_of_streams_is_found_within_the_bound() -> None:
    def steady(to: Conversation) -> None:
        to.begin()
        for _ in range(2000):  # so long that all streams run together in many windows of measuring
            to.text("word ")
            nap(0.02)
        to.finish()
        to.done()

    with hostile(steady) as server:
        backend = backend_for(server, parallel=None)
        for i in range(100):
            backend.submit(group(f"g{i}", tokens=2000, loop_guard=False))
        began = time.monotonic()
        while server.most_running <= 8 and time.monotonic() - began < 120:
            backend.step()
        backend.close()
    assert server.most_running > 8


def test_the_key_comes_from_the_environment_and_is_never_shown(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    key = "sk-secret-123456"
    monkeypatch.setenv("LOCALRL_API_KEY", key)

    def denies(to: Conversation) -> None:
        to.begin(401, "application/json")
        to.send(f'{{"error": "wrong key {key}"}}'.encode())

    with hostile(denies) as server:
        backend = backend_for(server, patience=Patience(tries=2))
        end = run(backend, [group()])["g.0"].finished
        described = repr(backend.info)
        backend.close()
    assert all(headers["Authorization"] == f"Bearer {key}" for headers in server.headers)
    assert end.reason is FinishReason.ERROR
    assert "LOCALRL_API_KEY" in end.error
    shown = capfd.readouterr()
    assert key not in end.error + described + shown.out + shown.err


def in_an_error(to: Conversation, key: str) -> None:
    to.begin(kind="application/json")
    to.send(f'{{"error": "what is {key}?"}}'.encode())


def in_an_event(to: Conversation, key: str) -> None:
    to.begin()
    to.event({"error": {"message": f"what is {key}?"}})


def in_garbage(to: Conversation, key: str) -> None:
    to.begin()
    to.send(f"data: {{{key}\n\n".encode())


def as_a_finish_reason(to: Conversation, key: str) -> None:
    to.begin()
    to.text("so ")
    to.finish(key)


def where_it_is_cut_off(to: Conversation, key: str) -> None:
    to.begin(500, "application/json")
    to.send(b"x" * (LONGEST_QUOTE - len("HTTP 500: ") - 8) + key.encode())


@pytest.mark.parametrize(
    "repeats", [in_an_error, in_an_event, in_garbage, as_a_finish_reason, where_it_is_cut_off]
)
def test_a_key_that_a_server_repeats_is_not_shown(
    repeats: Callable[[Conversation, str], None],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    key = "sk-secret-123456"
    monkeypatch.setenv("LOCALRL_API_KEY", key)
    with hostile(lambda to: repeats(to, key), owner=key) as server:
        backend = backend_for(server, patience=Patience(tries=2))
        end = run(backend, [group()])["g.0"].finished
        described = repr(backend.info)
        backend.close()
    shown = capfd.readouterr()
    assert end.reason is FinishReason.ERROR
    assert "sk-" not in end.error + described + shown.out + shown.err


@pytest.mark.parametrize("key", ["two\nlines", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_refused_by_its_variable(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with hostile(Conversation.good) as server, pytest.raises(UsageError, match="OPENAI_API_KEY"):
        backend_for(server)


def test_the_end_of_a_line_behind_a_key_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALRL_API_KEY", "secret\r\n")
    with hostile(Conversation.good) as server:
        ends(server)
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer secret"}


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/v1",
        "host:8000",
        "http://user:password@host/v1",
        "http://host/v1?key=1",
        "http://",
        "http://[::1",
        "http://[zz]/v1",
        "http://host:99999/v1",
        "http://host:http/v1",
        "http://a host/v1",
        "http://host/v1\n",
    ],
)
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        ServerBackend(EngineSettings("server", MODEL, endpoints=(url,)))


def test_a_model_that_is_not_served_is_refused_by_name() -> None:
    with hostile(Conversation.good, models=("a/qwq-32b", "b/llama-8b")) as server:
        settings = EngineSettings("server", "tiny-model", endpoints=(server.url,))
        with pytest.raises(UsageError, match="qwq-32b"):
            ServerBackend(settings)
        ServerBackend(EngineSettings("server", "QwQ-32B", endpoints=(server.url,))).close()

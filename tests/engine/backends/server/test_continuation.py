"""Answers from thinking of before on servers: the prompt is asked for as tokens, and goes on from there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from localrl.chat import ThinkingTags
from localrl.engine.protocol import FinishReason, Thought
from tests.engine.backends.server.hostile_server import Conversation, ends, group, hostile

if TYPE_CHECKING:
    from localrl.engine.protocol import GroupRequest

TAGS = ThinkingTags(budget_message="Time is up.</think>")


def thoughtful() -> GroupRequest:
    return replace(group(), thinking=TAGS, thought=Thought("one two three four", 2))


def tokens_of(text: str) -> list[int]:
    return [len(word) for word in text.split()]


def answering(to: Conversation) -> None:
    """llama-server or vLLM, by what is asked."""
    body: dict[str, Any] = to.body
    if isinstance(body.get("prompt"), list):
        to.begin()
        to.event({"choices": [{"index": 0, "text": "it is 4"}]})
        to.event({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
        to.usage(4, prompt=len(body["prompt"]))
        to.done()
        return
    to.begin(kind="application/json")
    if "messages" in body and "model" not in body:
        to.json({"prompt": "<user> question </user>"})
    else:
        to.json({"tokens": tokens_of(body.get("content") or body.get("prompt") or "<user> question </user>")})


@pytest.mark.parametrize("owner", ["llamacpp", "vllm"])
def test_a_reply_goes_on_from_the_tokens_of_prompt_thinking_and_closing(owner: str) -> None:
    with hostile(answering, owner=owner) as server:
        end = ends(server, groups=(thoughtful(),))["g.0"]
    asked = server.requests[-1]
    assert asked["prompt"] == [
        *tokens_of("<user> question </user>"),
        *tokens_of("one two Time is up.</think>"),
    ]
    assert "messages" not in asked
    assert (end.reason, end.text, end.answer_tokens) == (FinishReason.STOP, "it is 4", 4)
    assert end.prompt_tokens == len(asked["prompt"])


def test_a_server_that_does_not_tell_tokens_is_refused_before_it_is_asked() -> None:
    with hostile(answering, owner="somebody") as server:
        end = ends(server, groups=(thoughtful(),))["g.0"]
    assert end.reason is FinishReason.REFUSED
    assert "somebody" in end.error
    assert server.requests == []


def test_a_server_whose_tokens_are_none_fails_in_words() -> None:
    def strange(to: Conversation) -> None:
        to.begin(kind="application/json")
        to.json({"tokens": ["a"], "prompt": "x"})

    with hostile(strange, owner="llamacpp") as server:
        end = ends(server, groups=(thoughtful(),))["g.0"]
    assert end.reason in (FinishReason.ERROR, FinishReason.REFUSED)
    assert "tokens" in end.error

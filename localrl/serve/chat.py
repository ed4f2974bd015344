"""`POST /v1/chat/completions`."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from localrl.serve import forced
from localrl.serve.body import ChatBody, parsed
from localrl.serve.calls import format_of
from localrl.serve.choices import Choice, ChoiceDelta, as_chat, usage
from localrl.serve.guard import json_body
from localrl.serve.problems import RequestProblem, json_response
from localrl.serve.state import SERVING, deltas, groups, streamed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from localrl.engine.protocol import TokenLogprob
    from localrl.serve.calls import CallParser, ParsedCall
    from localrl.serve.state import Serving


async def chat_completions(request: web.Request) -> web.StreamResponse:
    serving = request.app[SERVING]
    body = parsed(ChatBody, await json_body(request))
    serving.check_model(body.model)
    name = f"chatcmpl-{secrets.token_hex(12)}"
    asked = groups(name, [tuple(m.message() for m in body.messages)], body, **_settings(serving, body))
    answer = _ChatAnswer(serving, body, name)
    async with serving.running(request, body, asked) as reply:
        if body.stream:
            return await streamed(request, reply, answer.choices, answer.chunks, answer.last, answer.parser)
        async for _ in deltas(reply, answer.choices, answer.parser):
            pass
    return json_response(await answer.whole())


def _settings(serving: Serving, body: ChatBody) -> dict[str, Any]:
    """The fields of the group."""
    if body.limit == 0:
        raise RequestProblem(400, "max_tokens is at least 1", param="max_tokens")
    wanted = forced.wanted(body)
    formats = [each for each in (wanted and forced.grammar(wanted), body.format, body.own_grammar) if each]
    if len(formats) > 1:
        raise RequestProblem(400, "only one of a forced tool call, response_format and grammar can hold")
    tools = [] if body.tool_choice == "none" else body.tools or []
    return {
        "sampling": body.sampling(serving.sampling, serving.sampling.max_tokens),
        "thinking": serving.tags,
        "control": body.control(serving.options.control),
        "logprobs": body.top,
        "grammar": formats[0] if formats else None,
        "tools": tuple(tool.model_dump(exclude_none=True) for tool in tools),
    }


class _ChatAnswer:
    """One request's answer, in one piece or in chunks."""

    def __init__(self, serving: Serving, body: ChatBody, name: str) -> None:
        self._serving, self._body = serving, body
        self.choices: list[Choice] = []
        self._head = {"id": name, "created": int(time.time()), "model": serving.name}
        self._begun: set[int] = set()
        self._calls: dict[int, int] = {}

    def parser(self) -> CallParser | None:
        """What finds tool calls in an answer, where there may be any."""
        if forced.wanted(self._body):
            return forced.ForcedParser()
        info = self._serving.owner.info
        found = format_of(self._serving.family, info.chat_template if info else "")
        given = [] if self._body.tool_choice == "none" else self._body.tools or []
        tools = {tool.function.name: tool.function.parameters or {} for tool in given}
        return found.parser(tools) if found and (tools or found.ALWAYS) else None

    async def whole(self) -> dict[str, Any]:
        choices = []
        for choice in self.choices:
            message: dict[str, Any] = {"role": "assistant", "content": choice.content, "refusal": None}
            if choice.thinking:
                message |= {"reasoning_content": choice.thinking, "reasoning": choice.thinking}
            if choice.calls:
                message |= {"tool_calls": [_call(call) for call in choice.calls]}
                message["content"] = choice.content or None
            choices.append(
                {
                    "index": choice.index,
                    "message": message,
                    "logprobs": await self._logprobs(choice.logprobs),
                    "finish_reason": choice.finish_reason,
                }
            )
            assert choice.end
            self._serving.metrics.finished(choice.end)
        return {**self._head, "object": "chat.completion", "choices": choices, "usage": usage(self.choices)}

    async def chunks(self, delta: ChoiceDelta) -> AsyncIterator[dict[str, Any]]:
        """The chunks for what one event adds."""
        told: dict[str, Any] = {}
        if delta.index not in self._begun:
            self._begun.add(delta.index)
            told = {"role": "assistant", "content": ""}
        if delta.thinking:
            told |= {"reasoning_content": delta.thinking, "reasoning": delta.thinking}
        if delta.content:
            told["content"] = delta.content
        if delta.calls:
            first = self._calls.get(delta.index, 0)
            self._calls[delta.index] = first + len(delta.calls)
            told["tool_calls"] = [{"index": first + i, **_call(call)} for i, call in enumerate(delta.calls)]
        if told or delta.logprobs:
            yield self._chunk(delta, told, await self._logprobs(delta.logprobs), None)
        if delta.end:
            self._serving.metrics.finished(delta.end)
            yield self._chunk(delta, {}, None, self.choices[delta.index].finish_reason)

    def last(self) -> list[dict[str, Any]]:
        options = self._body.stream_options
        if not (options and options.include_usage):
            return []
        return [
            {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": usage(self.choices)}
        ]

    def _chunk(
        self, delta: ChoiceDelta, told: dict[str, Any], logprobs: dict[str, Any] | None, finish: str | None
    ) -> dict[str, Any]:
        choice = {"index": delta.index, "delta": told, "logprobs": logprobs, "finish_reason": finish}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}

    async def _logprobs(self, tokens: tuple[TokenLogprob, ...]) -> dict[str, Any] | None:
        if self._body.top is None:
            return None
        ids = {token.id for token in tokens} | {other for token in tokens for other, _ in token.top}
        return as_chat(tokens, await self._serving.pieces(ids))


def _call(call: ParsedCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}

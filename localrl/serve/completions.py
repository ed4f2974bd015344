"""`POST /v1/completions`: raw text or tokens, with the log-probabilities of what was given and generated."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from localrl.serve.body import CompletionBody, parsed
from localrl.serve.choices import Choice, ChoiceDelta, as_completion, usage
from localrl.serve.guard import json_body
from localrl.serve.problems import RequestProblem, json_response
from localrl.serve.state import SERVING, deltas, groups, streamed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from localrl.engine.protocol import TokenLogprob
    from localrl.serve.state import Serving

DEFAULT_TOKENS = 16
"""OpenAI's `max_tokens` for completions."""


async def completions(request: web.Request) -> web.StreamResponse:
    serving = request.app[SERVING]
    body = parsed(CompletionBody, await json_body(request))
    serving.check_model(body.model)
    if body.limit == 0 and not body.echo:
        raise RequestProblem(400, "max_tokens is at least 1 without echo", param="max_tokens")
    name = f"cmpl-{secrets.token_hex(12)}"
    asked = groups(
        name,
        body.prompts,
        body,
        sampling=body.sampling(serving.sampling, DEFAULT_TOKENS),
        logprobs=body.top,
        grammar=body.own_grammar,
        echo=bool(body.echo),
    )
    answer = _CompletionAnswer(serving, body, name)
    async with serving.running(request, body, asked) as reply:
        if body.stream:
            return await streamed(request, reply, answer.choices, answer.chunks, answer.last)
        async for _ in deltas(reply, answer.choices):
            pass
    return json_response(await answer.whole())


class _CompletionAnswer:
    """One request's answer, in one piece or in chunks."""

    def __init__(self, serving: Serving, body: CompletionBody, name: str) -> None:
        self._serving, self._body = serving, body
        self.choices: list[Choice] = []
        self._head = {
            "id": name,
            "object": "text_completion",
            "created": int(time.time()),
            "model": serving.name,
        }
        self._offsets: dict[int, int] = {}
        self._only_echo = body.limit == 0

    async def whole(self) -> dict[str, Any]:
        told = []
        for choice in self.choices:
            text, prompt = choice.thinking + choice.content, await self._echoed(choice.index, choice.prompt)
            tokens = choice.prompt if self._only_echo else choice.prompt + choice.logprobs
            told.append(
                {
                    "index": choice.index,
                    "text": prompt + ("" if self._only_echo else text),
                    "logprobs": await self._logprobs(choice.index, tokens),
                    "finish_reason": "length" if self._only_echo else choice.finish_reason,
                }
            )
            assert choice.end
            self._serving.metrics.finished(choice.end)
        return {**self._head, "choices": told, "usage": usage(self.choices)}

    async def chunks(self, delta: ChoiceDelta) -> AsyncIterator[dict[str, Any]]:
        """The chunks for what one event adds."""
        text, tokens = await self._echoed(delta.index, delta.prompt), delta.prompt
        if not self._only_echo:
            text, tokens = text + delta.thinking + delta.content, tokens + delta.logprobs
        finish = None
        if delta.end:
            self._serving.metrics.finished(delta.end)
            finish = "length" if self._only_echo else self.choices[delta.index].finish_reason
        if text or tokens or finish:
            logprobs = await self._logprobs(delta.index, tokens)
            choice = {"index": delta.index, "text": text, "logprobs": logprobs, "finish_reason": finish}
            yield {**self._head, "choices": [choice]}

    def last(self) -> list[dict[str, Any]]:
        options = self._body.stream_options
        if not (options and options.include_usage):
            return []
        return [{**self._head, "choices": [], "usage": usage(self.choices)}]

    async def _echoed(self, index: int, prompt: tuple[TokenLogprob, ...]) -> str:
        """The prompt's text, where it is wanted and known."""
        if not prompt or not self._body.echo:
            return ""
        given = self._body.prompts[index // (self._body.n or 1)]
        if isinstance(given, str):
            return given
        piece = await self._serving.pieces({token.id for token in prompt})
        return b"".join(piece(token.id) for token in prompt).decode("utf-8", "replace")

    async def _logprobs(self, index: int, tokens: tuple[TokenLogprob, ...]) -> dict[str, Any] | None:
        if self._body.top is None:
            return None
        ids = {token.id for token in tokens} | {other for token in tokens for other, _ in token.top}
        told = as_completion(tokens, await self._serving.pieces(ids), self._offsets.get(index, 0))
        if told["tokens"]:
            self._offsets[index] = told["text_offset"][-1] + len(told["tokens"][-1])
        return told

"""One OpenAI-compatible server: what it serves, how it is asked, and what its stream says.

A server may be broken, overloaded or hostile, so all that arrives is bounded and validated here, and ends
either as chunks or as a `RequestFailed` that says in one line what was wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Annotated, Any

import aiohttp
from pydantic import BaseModel, Field, ValidationError

from localrl.engine import address
from localrl.engine.protocol import Group

LONGEST_LINE = 1 << 20
"""Bytes of one line of a stream; a chunk of text is a few hundred."""
LARGEST_ANSWER = 4 << 20
"""Bytes of an answer that is no stream."""
CONNECT_S = 10.0
PROBE_S = 60.0
"""Some servers list their models only between two requests."""
DRAIN_S = 0.5
"""How long the end of a finished stream is waited for, so that its connection can be used again."""
NEUTRAL = {"top_k", "min_p", "repetition_penalty", "stream_options", "seed"}
"""Fields that are left out for a server that does not know them, if that changes nothing."""

Count = Annotated[int, Field(ge=0)]


class Failure(Enum):
    """What a failed request says about the server."""

    REJECTED = auto()
    """This request cannot work: the server says so."""
    BUSY = auto()
    """The server has too much to do."""
    BROKEN = auto()
    """The answer makes no sense, or ends in the middle."""
    DOWN = auto()
    """The server is not there, or does not serve us."""


class RequestFailed(Exception):
    def __init__(self, failure: Failure, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.failure, self.reason, self.retry_after = failure, reason, retry_after


class Usage(BaseModel):
    class Prompt(BaseModel):
        cached_tokens: Count | None = None

    class Completion(BaseModel):
        reasoning_tokens: Count | None = None

    prompt_tokens: Count = 0
    completion_tokens: Count | None = 0
    prompt_tokens_details: Prompt | None = None
    completion_tokens_details: Completion | None = None

    @property
    def cached(self) -> int:
        details = self.prompt_tokens_details
        return (details.cached_tokens if details else None) or 0

    @property
    def reasoning(self) -> int | None:
        details = self.completion_tokens_details
        return details.reasoning_tokens if details else None


class Choice(BaseModel):
    """What one chunk adds to one of the texts of a request."""

    class Delta(BaseModel):
        content: str | None = None
        reasoning_content: str | None = None
        reasoning: str | None = None

    index: Count = 0
    delta: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None

    @property
    def answer(self) -> str:
        return (self.delta.content if self.delta else self.text) or ""

    @property
    def thinking(self) -> str:
        return (self.delta.reasoning_content or self.delta.reasoning if self.delta else None) or ""


class Chunk(BaseModel):
    choices: list[Choice] = []
    usage: Usage | None = None
    error: Any = None


class Served(BaseModel):
    """One entry of `/models`."""

    id: str
    owned_by: str = ""
    max_model_len: Count | None = None


class _Models(BaseModel):
    data: list[Served]


@dataclass(eq=False)
class Endpoint:
    """A server at a base URL such as `http://host:8000/v1`."""

    url: str
    key: str = ""
    model: str = ""
    """The model's name there, once `models` was asked."""
    kind: str = ""
    """Who says to own the model: `vllm`, `sglang`, `llamacpp`, ..."""
    left_out: set[str] = field(default_factory=set)
    """Fields that this server does not know."""

    def __post_init__(self) -> None:
        self.url = address.checked(self.url)

    def __str__(self) -> str:
        return self.url

    @property
    def shares_prefill(self) -> bool:
        """Whether `n` samples of one request share the prompt, with a seed of their own each.

        vLLM gives sample i the seed `seed + i`. Others ignore `n`, or give all the same seed.
        """
        return self.kind == "vllm"

    async def models(self, session: aiohttp.ClientSession) -> list[Served]:
        """What is served here; empty where the server cannot say. Raises RequestFailed."""
        try:
            async with asyncio.timeout(PROBE_S), self._ask(session, "GET", "/models", None) as response:
                body = await _read(response)
                if response.status not in (200, 404):
                    raise self._failure(response, body)
                return _Models.model_validate_json(body).data
        except TimeoutError as error:
            raise RequestFailed(Failure.DOWN, f"no answer within {PROBE_S:g} s") from error
        except ValidationError:
            return []  # mlx_lm.server says nothing when there is no hub cache
        except aiohttp.ClientError as error:
            raise RequestFailed(Failure.DOWN, _connection_error(error)) from error

    async def stream(
        self, session: aiohttp.ClientSession, group: Group, seeds: list[int]
    ) -> AsyncIterator[Chunk | None]:
        """Ask for one sample a seed; the chunks as they come, and None when the server says that it is done.

        Raises RequestFailed.
        """
        body = self.body(group, seeds)
        path = "/chat/completions" if "messages" in body else "/completions"
        try:
            async with self._ask(session, "POST", path, body) as response:
                if response.status != 200:
                    self._learn(await self._problem(response), body)
                async for chunk in _chunks(response):
                    yield chunk
        except aiohttp.ClientError as error:
            raise RequestFailed(Failure.DOWN, _connection_error(error)) from error
        except TimeoutError as error:
            raise RequestFailed(Failure.DOWN, "no connection") from error

    def body(self, group: Group, seeds: list[int]) -> dict[str, Any]:
        """The request. Every setting is sent, since servers have defaults of their own."""
        sampling = group.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            # SGLang takes 0 for an error, llama.cpp's servers take -1 for one.
            "top_k": sampling.top_k or (-1 if self.kind in ("vllm", "sglang") else 0),
            "min_p": sampling.min_p,
            "max_tokens": sampling.max_tokens,
            "seed": seeds[0],
        }
        if self.kind in ("vllm", "sglang"):  # they take defaults from the model's generation_config.json
            body["repetition_penalty"] = 1.0
        if len(seeds) > 1:
            body["n"] = len(seeds)
            body["stream_options"]["continuous_usage_stats"] = True
        if group.ignore_end:
            body["ignore_eos"] = True
        messages = [message for message in group.prompt if not isinstance(message, (int, str))]
        if messages:
            body["messages"] = [message.model_dump() for message in messages]
        else:
            body["prompt"] = group.prompt if isinstance(group.prompt, str) else list(group.prompt)
        return {name: value for name, value in body.items() if name not in self.left_out}

    def _ask(self, session: aiohttp.ClientSession, method: str, path: str, body: Any) -> Any:
        # No compression: a bound on bytes would mean nothing. No redirects: they would carry the key away.
        headers = {"Accept-Encoding": "identity"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        return session.request(method, self.url + path, json=body, headers=headers, allow_redirects=False)

    async def _problem(self, response: aiohttp.ClientResponse) -> RequestFailed:
        return self._failure(response, await _read(response))

    def _failure(self, response: aiohttp.ClientResponse, body: bytes) -> RequestFailed:
        reason = f"HTTP {response.status}: {said(body)}"
        if self.key:
            reason = reason.replace(self.key, "***")
        if response.status in (401, 403):
            reason += " (the key is taken from LOCALRL_API_KEY or OPENAI_API_KEY)"
        if response.status in (429, 503):
            return RequestFailed(Failure.BUSY, reason, _seconds(response.headers.get("Retry-After")))
        rejected = response.status in (400, 413, 422)
        return RequestFailed(Failure.REJECTED if rejected else Failure.DOWN, reason)

    def _learn(self, failed: RequestFailed, body: dict[str, Any]) -> None:
        """Leave out what the server does not know, if that changes nothing; the request is tried again."""
        unknown = {name for name in NEUTRAL & body.keys() if name in failed.reason}
        matters = {name for name in ("top_k", "min_p") if body.get(name, 0) > 0}
        if failed.failure is Failure.REJECTED and unknown and not unknown & matters:
            self.left_out |= unknown
            raise RequestFailed(Failure.BROKEN, failed.reason)
        raise failed


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[Chunk | None]:
    """Read server-sent events: `data:` lines of JSON, ended by `data: [DONE]`."""
    async for line in _lines(response.content):
        name, _, value = line.partition(b":")
        if name == b"data":
            value = value.strip()
            if value == b"[DONE]":
                yield None
                await _drain(response.content)
                return
            if value:
                yield _parse(value)
        elif name.strip() not in (b"", b"event", b"id", b"retry"):
            raise RequestFailed(Failure.BROKEN, f"no stream but: {said(line)}")


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    pending = b""
    async for block in content.iter_any():
        *whole, pending = (pending + block).split(b"\n")
        for line in whole:
            yield line.rstrip(b"\r")
        if len(pending) > LONGEST_LINE:
            raise RequestFailed(Failure.BROKEN, f"a line of more than {LONGEST_LINE >> 20} MiB")
    if pending:
        yield pending


def _parse(data: bytes) -> Chunk:
    try:
        chunk = Chunk.model_validate_json(data)
    except ValidationError as error:
        raise RequestFailed(Failure.BROKEN, f"a chunk that makes no sense: {printable(data)}") from error
    if chunk.error is not None:
        raise RequestFailed(Failure.BROKEN, f"an error: {said(data)}")
    return chunk


async def _drain(content: aiohttp.StreamReader) -> None:
    """Read what is left, within bounds."""
    try:
        async with asyncio.timeout(DRAIN_S):
            async for _ in content.iter_any():
                pass
    except (TimeoutError, aiohttp.ClientError):
        pass  # the connection is closed instead of used again


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """An answer that is no stream, cut at LARGEST_ANSWER."""
    body = b""
    async for block in response.content.iter_any():
        body += block
        if len(body) > LARGEST_ANSWER:
            break
    return body


def said(body: bytes) -> str:
    """What an error body says, in one printable line."""
    import json

    try:
        found = json.loads(body[:LARGEST_ANSWER])
    except (ValueError, RecursionError):
        return printable(body)
    for name in ("error", "detail", "message"):
        if isinstance(found, dict) and found.get(name):
            found = found[name]
    return printable(str(found).encode("utf-8", errors="replace"))


def printable(data: bytes) -> str:
    """The beginning of what a stranger sent, without what could control a terminal."""
    text = data[:300].decode("utf-8", errors="replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split()) or "nothing"


def _seconds(header: str | None) -> float | None:
    return float(header) if header and header.isascii() and header.isdigit() else None


def _connection_error(error: aiohttp.ClientError) -> str:
    return f"the connection failed: {printable(str(error).encode() or type(error).__name__.encode())}"

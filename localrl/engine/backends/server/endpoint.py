"""One OpenAI-compatible server: what it serves, how it is asked, and what its failures mean.

Whatever goes wrong ends as a `RequestFailed` that says in one line what it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import aiohttp
from pydantic import ValidationError

from localrl import jsontext
from localrl.engine.backends.server import address, continuation
from localrl.engine.backends.server.responses import (
    LONGEST_QUOTE,
    Chunk,
    Failure,
    Models,
    RequestFailed,
    ServedModel,
    chunks,
    error_text,
    printable,
    read,
)
from localrl.engine.protocol import GroupRequest, ServerOptions

if TYPE_CHECKING:
    from localrl.chat import ThinkingControl

CONNECT_S = 10.0
LEAST_SECRET = 8
"""Characters of a header's value that is hidden where a server repeats it; "1" or "beta" is no secret."""
PROBE_S = 60.0
"""Some servers list their models only between two requests."""
PROBLEM_S = 10.0
"""How long a server may take to say what is wrong."""
DENIALS = {
    401: " (the key is taken from LOCALRL_API_KEY or OPENAI_API_KEY)",
    402: "",
    403: " (the key is taken from LOCALRL_API_KEY or OPENAI_API_KEY)",
    404: " (check the model's name and the path of --endpoint)",
    405: " (check the path of --endpoint)",
    410: "",
    501: "",
}
"""Answers that waiting does not change, and what to do about them."""
NEUTRAL: dict[str, tuple[float, ...]] = {
    "top_k": (0, -1),
    "min_p": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "repeat_penalty": (1,),
    "repeat_last_n": (-1,),
}
"""Values that change nothing, of fields that are left out for a server that does not know them."""
BUDGET_FIELD = {
    "vllm": "thinking_token_budget",
    "llamacpp": "thinking_budget_tokens",
    "localrl": "thinking_token_budget",
}
"""How servers name the budget of the thinking; what closes it is their own."""
HARMLESS = {"stream_options", "seed"}
"""Fields that may be left out whatever their value."""


@dataclass(eq=False)
class Endpoint:
    """A server at a base URL such as `http://host:8000/v1`."""

    url: str
    key: str = ""
    options: ServerOptions = field(default_factory=ServerOptions)
    model: str = ""
    """The model's name there, once `models` was asked."""
    kind: str = ""
    """Who says to own the model: `vllm`, `sglang`, `llamacpp`, ..."""
    left_out: set[str] = field(default_factory=set)
    """Fields that this server does not know."""

    def __post_init__(self) -> None:
        self.url = address.checked(self.url)
        values = [part for _, value in self.options.headers for part in (value, value.split()[-1])]
        long = {value for value in values if len(value) >= LEAST_SECRET}
        self._secrets = sorted({self.key, *long} - {""}, key=len, reverse=True)

    def __str__(self) -> str:
        return self.url

    @property
    def shares_prefill(self) -> bool:
        """Whether `n` samples of one request share the prompt, with a seed of their own each.

        vLLM gives sample i the seed `seed + i`. Others ignore `n`, or give all the same seed.
        """
        return self.kind == "vllm"

    def quoted(self, reason: str) -> str:
        """What went wrong, in a few printable words without the key: servers repeat what they were sent."""
        hidden = self.hidden(reason)
        return hidden if len(hidden) <= LONGEST_QUOTE else hidden[:LONGEST_QUOTE] + "…"

    def hidden(self, text: str) -> str:
        """A text from the server without the key and the headers' values."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    async def models(self, session: aiohttp.ClientSession) -> list[ServedModel]:
        """What is served here; empty where the server cannot say. Raises RequestFailed."""
        try:
            served = await self._models(session)
        except RequestFailed as failed:
            raise RequestFailed(failed.failure, self.quoted(failed.reason)) from failed
        for model in served:
            model.owned_by = self.quoted(printable(model.owned_by.encode()))
        return served

    async def _models(self, session: aiohttp.ClientSession) -> list[ServedModel]:
        try:
            async with asyncio.timeout(PROBE_S), self._ask(session, "GET", "/models", None) as response:
                body = await read(response)
                if response.status not in (200, 404):
                    raise self._failure(response, body)
                return Models.model_validate_json(body).data
        except TimeoutError as error:
            raise RequestFailed(Failure.DOWN, f"no answer within {PROBE_S:g} s") from error
        except ValidationError:
            return []  # mlx_lm.server says nothing when there is no hub cache
        except aiohttp.ClientError as error:
            raise RequestFailed(Failure.DOWN, _connection_error(error)) from error

    async def stream(
        self, session: aiohttp.ClientSession, group: GroupRequest, seeds: list[int]
    ) -> AsyncIterator[Chunk | None]:
        """Ask for one sample a seed; the chunks as they come, and None when the server says that it is done.

        Raises RequestFailed.
        """
        body = self.body(group, seeds)
        begun = False
        try:
            if group.thought:
                del body["messages"]
                body["prompt"] = await continuation.prompt(self, session, group)
            path = "/chat/completions" if "messages" in body else "/completions"
            async with self._ask(session, "POST", path, body) as response:
                if response.status != 200:
                    self._learn(await self._problem(response), body)
                begun = True
                async for chunk in chunks(response):
                    yield chunk
        except aiohttp.ClientError as error:
            answered = begun or isinstance(error, aiohttp.ClientResponseError)
            raise RequestFailed(
                Failure.TORN if answered else Failure.DOWN, _connection_error(error)
            ) from error
        except TimeoutError as error:
            raise RequestFailed(Failure.DOWN, "no connection") from error

    def body(self, group: GroupRequest, seeds: list[int]) -> dict[str, Any]:
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
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "max_tokens": sampling.max_tokens,
            "seed": seeds[0],
        }
        # vLLM and SGLang take defaults from the model's generation_config.json.
        if self.kind in ("vllm", "sglang") or sampling.repetition_penalty != 1:
            body["repetition_penalty"] = sampling.repetition_penalty
        if self.kind not in ("vllm", "sglang") and sampling.penalises:  # llama.cpp's name and window
            body |= {"repeat_penalty": sampling.repetition_penalty, "repeat_last_n": -1}
        body |= self._steering(group.control)
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
        known = {name: value for name, value in body.items() if name not in self.left_out}
        return known | self.options.extra_body

    async def post(self, session: aiohttp.ClientSession, path: str, body: Any) -> Any:
        """What the server answers at its root, beside OpenAI's paths. Raises RequestFailed."""
        async with self._ask(session, "POST", path, body, self.url.removesuffix("/v1")) as response:
            data = await read(response)
            if response.status != 200:
                raise self._failure(response, data)
            try:
                return jsontext.loads(data)
            except ValueError as error:
                raise RequestFailed(Failure.FINAL, f"no JSON at {path}: {error_text(data)}") from error

    @property
    def takes_budget(self) -> bool:
        """Whether the server closes the thinking at a budget."""
        return self.kind in BUDGET_FIELD

    def _steering(self, control: ThinkingControl) -> dict[str, Any]:
        """What tells the server how long the model may think."""
        fields: dict[str, Any] = {}
        if not control.enabled:
            fields["chat_template_kwargs"] = {"enable_thinking": False}
        if control.effort:
            fields["reasoning_effort"] = control.effort
        if control.budget is not None:
            fields[BUDGET_FIELD[self.kind]] = control.budget
        return fields

    def _ask(self, session: aiohttp.ClientSession, method: str, path: str, body: Any, base: str = "") -> Any:
        # No compression: a bound on bytes would mean nothing. No redirects: they would carry the key away.
        headers = {"Accept-Encoding": "identity", **dict(self.options.headers)}
        if self.key and "authorization" not in map(str.lower, headers):
            headers["Authorization"] = f"Bearer {self.key}"
        return session.request(
            method, (base or self.url) + path, json=body, headers=headers, allow_redirects=False
        )

    async def _problem(self, response: aiohttp.ClientResponse) -> RequestFailed:
        try:
            async with asyncio.timeout(PROBLEM_S):
                return self._failure(response, await read(response))
        except TimeoutError:
            return self._failure(response, b"")

    def _failure(self, response: aiohttp.ClientResponse, body: bytes) -> RequestFailed:
        status = response.status
        advice = DENIALS.get(status, "")
        if 300 <= status < 400:
            elsewhere = printable(response.headers.get("Location", "").encode())
            advice = f" (redirects are not followed; name what is meant with --endpoint: {elsewhere})"
        reason = f"HTTP {status}{advice}: {error_text(body)}"
        if status in (429, 503):
            return RequestFailed(Failure.BUSY, reason, _seconds(response.headers.get("Retry-After")))
        if status in (400, 413, 422):
            return RequestFailed(Failure.REJECTED, reason)
        denied = status in DENIALS or 300 <= status < 400
        return RequestFailed(Failure.DENIED if denied else Failure.DOWN, reason)

    def _learn(self, failed: RequestFailed, body: dict[str, Any]) -> None:
        """Leave out what the server does not know, if that changes nothing; the request is tried again."""
        unknown = {name for name in (*NEUTRAL, *HARMLESS) if name in body and name in failed.reason}
        matters = {name for name, neutral in NEUTRAL.items() if name in body and body[name] not in neutral}
        if failed.failure is Failure.REJECTED and unknown and not unknown & matters:
            self.left_out |= unknown
            raise RequestFailed(Failure.BROKEN, failed.reason)
        raise failed


def _seconds(header: str | None) -> float | None:
    """How long `Retry-After` asks to wait: a number of seconds, or the date of the end."""
    try:
        seconds = float(header or "")
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header or "").timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return seconds if seconds > 0 else None


def _connection_error(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection broke in the middle of the answer"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = printable(str(error.certificate_error).encode())
        return f"its certificate is not trusted: {why} (name its issuer's with --ca-file or SSL_CERT_FILE)"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the answer is no HTTP: {printable(error.message.encode())}"
    return f"the connection failed: {printable(str(error).encode() or type(error).__name__.encode())}"

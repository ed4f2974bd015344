"""The server as a whole: routes, what every request passes, start and stop."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from localrl import conversation
from localrl.chat import ThinkingTags
from localrl.engine import resolve
from localrl.engine.protocol import EngineSettings
from localrl.errors import Unavailable
from localrl.serve import calls
from localrl.serve.admission import Admission
from localrl.serve.chat import chat_completions
from localrl.serve.completions import completions
from localrl.serve.guard import MOST_BYTES, Guard
from localrl.serve.metrics import RequestMetrics
from localrl.serve.owner import EngineOwner
from localrl.serve.problems import RequestProblem, json_response
from localrl.serve.state import SERVING, Serving
from localrl.serve.tokens import detokenize, tokenize, tokenizer_info

if TYPE_CHECKING:
    from aiohttp.web_protocol import RequestHandler

    from localrl.engine.resolve import Resolved
    from localrl.serve.guard import Handler
    from localrl.serve.options import ServeOptions

LOG = logging.getLogger(__name__)
HEADERS_S = 20.0
"""How long a connection may take until its first request is there."""
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"
LOOKAHEAD = 8
"""Samples that the engine has beyond twice those it runs at once."""
GENERATING = ("/v1/chat/completions", "/v1/completions")


@dataclass(frozen=True, slots=True)
class Status:
    """What a person who watches wants to know."""

    address: str
    state: str
    running: int
    waiting: int
    tokens_per_s: float
    """Of late, over all samples."""


class Server:
    """One model behind one address. Make, start and stop it on one event loop."""

    def __init__(self, choice: Resolved, settings: EngineSettings, options: ServeOptions) -> None:
        card = choice.model.card
        self.options = options
        quantisation = choice.model.quantisation
        self.name = f"{choice.model.name}:{quantisation}" if quantisation else choice.model.name
        names = {self.name, choice.model.name, "default", f"localrl/{choice.model.name}"}
        if card and card.base:
            names.add(card.base)
        owner = EngineOwner(settings, options.idle_unload_s)
        self._serving = Serving(
            name=self.name,
            names=frozenset(map(str.casefold, names)),
            tags=settings.tags,
            sampling=conversation.sampling_of(card),
            family=card.family if card else "",
            options=options,
            owner=owner,
            admission=Admission(lambda: 2 * owner.metrics.parallel + LOOKAHEAD, options.most_waiting),
            metrics=RequestMetrics(),
        )
        self._guard = Guard(options)
        self._runner: web.AppRunner | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._began: set[RequestHandler] = set()
        """Connections with a request that came in whole."""
        self._measured = (time.monotonic(), 0)
        self.port = options.port

    @property
    def address(self) -> str:
        host = self.options.host
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def status(self) -> Status:
        engine, waiting = self._serving.owner.metrics, self._serving.admission.waiting
        now, (then, tokens) = time.monotonic(), self._measured
        rate = max(0, engine.generated_tokens - tokens) / (now - then) if now > then else 0.0
        if now - then >= 1.0:
            self._measured = (now, engine.generated_tokens)
        state = self._serving.owner.state
        return Status(self.address, state, engine.running, waiting + engine.waiting, rate)

    async def start(self) -> None:
        """Listen, and load the model unless that has time.

        Raises:
            Unavailable: the address is taken.
            LocalrlError: the model cannot be loaded.
        """
        app = web.Application(client_max_size=MOST_BYTES, middlewares=[self._middleware])
        app[SERVING] = self._serving
        app.add_routes(
            [
                web.get("/", _index),
                web.get("/health", _health),
                web.get("/metrics", _metrics),
                web.get("/v1/models", _models),
                web.get("/v1/models/{name:.+}", _model),
                web.post("/v1/chat/completions", chat_completions),
                web.post("/v1/completions", completions),
                web.post("/tokenize", tokenize),
                web.post("/detokenize", detokenize),
                web.get("/tokenizer_info", tokenizer_info),
            ]
        )
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # what strangers send is no news
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, max_line_size=8190, max_field_size=8190
        )
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, self.options.host, self.options.port)
            await site.start()
        except OSError as error:
            await self.stop()
            where = f"{self.options.host}:{self.options.port}"
            raise Unavailable(
                f"cannot listen on {where}: {error.strerror}", hint="choose another --port"
            ) from error
        self.port = self._runner.addresses[0][1]
        self._sweeper = asyncio.create_task(self._sweep())
        if not self.options.on_demand:
            try:
                await self._serving.owner.load()
            except BaseException:
                await self.stop()
                raise

    async def stop(self) -> None:
        """Close everything; what runs is cut."""
        if self._sweeper:
            self._sweeper.cancel()
        await self._serving.owner.close()
        if self._runner:
            await self._runner.cleanup()

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.protocol is not None:
            self._began.add(request.protocol)
        began = time.monotonic()
        try:
            self._guard.check(request)
            response = await (_preflight(request) if request.method == "OPTIONS" else handler(request))
        except RequestProblem as problem:
            response = problem.response()
        except web.HTTPException as error:
            response = RequestProblem(
                error.status, f"{request.method} {request.path}: {error.reason}"
            ).response()
        except (asyncio.CancelledError, ConnectionError):
            raise  # the client is gone
        except Exception as error:
            LOG.error("%s %s: %r", request.method, request.path, error, exc_info=error)
            response = RequestProblem(500, f"a mistake in localrl: {type(error).__name__}").response()
        self._guard.cors(request, response) if not response.prepared else None
        known = request.match_info.route.resource
        path = known.canonical if known else "other"
        self._serving.metrics.requests.labels(path, str(response.status)).inc()
        if path in GENERATING:
            self._serving.metrics.seconds.observe(time.monotonic() - began)
        return response

    async def _sweep(self) -> None:
        """Close connections that send no request: nobody may hold one for nothing."""
        seen: dict[RequestHandler, float] = {}
        while True:
            await asyncio.sleep(HEADERS_S / 4)
            assert self._runner is not None
            assert self._runner.server is not None
            now, connections = time.monotonic(), set(self._runner.server.connections)
            self._began &= connections
            seen = {connection: seen.get(connection, now) for connection in connections - self._began}
            for connection, since in seen.items():
                if now - since >= HEADERS_S and connection.transport is not None:
                    connection.transport.write(TOO_SLOW)
                    connection.transport.close()


def make(
    model: str,
    *,
    backend: str = "auto",
    parallel: int | None = None,
    context: int | None = None,
    tokens_per_stream: int = conversation.TOKENS_PER_STREAM,
    adapter: str | None = None,
) -> tuple[Resolved, EngineSettings]:
    """Which model is served, and how it is loaded.

    Args:
        adapter: path of a LoRA adapter.

    Raises:
        UsageError, Unavailable: the model is not here, or its backend is not installed.
    """
    choice = resolve.resolve(model, backend)
    card = choice.model.card
    tags = card.thinking if card else ThinkingTags()
    return choice, EngineSettings(
        backend=choice.backend,
        model=str(choice.model.path),
        parallel=parallel,
        context=context,
        adapter=adapter,
        tokens_per_stream=tokens_per_stream,
        tags=tags,
        chat_template=choice.chat_template,
        shown=calls.shown(),
    )


async def _preflight(request: web.Request) -> web.StreamResponse:
    return web.Response(status=204)


async def _index(request: web.Request) -> web.StreamResponse:
    serving = request.app[SERVING]
    return json_response({"localrl": serving.name, "api": "/v1"})


async def _health(request: web.Request) -> web.StreamResponse:
    return json_response({"status": "ok", "engine": request.app[SERVING].owner.state})


async def _metrics(request: web.Request) -> web.StreamResponse:
    serving = request.app[SERVING]
    text = serving.metrics.text(serving.owner, serving.admission)
    return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


def _description(serving: Serving) -> dict[str, object]:
    said: dict[str, object] = {
        "id": serving.name,
        "object": "model",
        "created": serving.created,
        "owned_by": "localrl",
    }
    if serving.owner.info:
        said["max_model_len"] = serving.owner.info.context
    return said


async def _models(request: web.Request) -> web.StreamResponse:
    return json_response({"object": "list", "data": [_description(request.app[SERVING])]})


async def _model(request: web.Request) -> web.StreamResponse:
    serving = request.app[SERVING]
    serving.check_model(request.match_info["name"])
    return json_response(_description(serving))

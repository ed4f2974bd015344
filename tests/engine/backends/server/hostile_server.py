"""A server on loopback that misbehaves as it is told, request after request, and backends that ask it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from localrl.chat import Message
from localrl.engine.backends.server.backend import Patience, ServerBackend
from localrl.engine.conformance import run
from localrl.engine.protocol import EngineSettings, Finished, GroupRequest, SampleRequest
from localrl.sampling import Sampling

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

MODEL = "org/tiny-model"
QUICK = Patience(
    broken_tries=2,
    tries=4,
    first_retry_s=0.01,
    longest_retry_s=0.02,
    outage_s=3.0,
)
IMPATIENT = replace(QUICK, first_token_s=1.0, next_token_s=1.0)
"""For servers that fall silent; on a busy machine a good one may need longer."""


class Conversation:
    """One request, and the means to answer it well or badly."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        self._handler, self.body = handler, body
        self.headers = dict(handler.headers)

    def begin(self, status: int = 200, kind: str = "text/event-stream", **headers: str) -> None:
        self._handler.send_response(status)
        for name, value in {"Content-Type": kind, **headers}.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.end_headers()

    def send(self, data: bytes) -> None:
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def json(self, value: Any) -> None:
        self.send(json.dumps(value).encode())

    def event(self, value: Any) -> None:
        self.send(b"data: " + json.dumps(value).encode() + b"\n\n")

    def text(self, text: str, index: int = 0, **delta: Any) -> None:
        self.event({"choices": [{"index": index, "delta": {"content": text, **delta}}]})

    def finish(self, reason: str = "stop", index: int = 0) -> None:
        self.event({"choices": [{"index": index, "delta": {}, "finish_reason": reason}]})

    def usage(self, completion: Any, prompt: Any = 5) -> None:
        self.event({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}})

    def done(self) -> None:
        self.send(b"data: [DONE]\n\n")

    def good(self, *words: str, reason: str = "stop") -> None:
        self.begin()
        for word in words or ("all ", "is ", "well"):
            self.text(word)
        self.finish(reason)
        self.usage(len(words or (1, 2, 3)))
        self.done()


class HostileServer:
    """Answers the n-th request by the n-th script, and the last one for all that follow."""

    def __init__(
        self,
        *scripts: Callable[[Conversation], None],
        owner: str = "me",
        models: tuple[str, ...] = (MODEL,),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.scripts, self.requests = list(scripts), list[dict[str, Any]]()
        self.headers: list[dict[str, str]] = []
        self.running = self.most_running = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.headers.append(dict(self.headers))
                entries = [{"id": model, "object": "model", "owned_by": owner} for model in models]
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"data": entries}).encode())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.headers.append(dict(self.headers))
                with outer._lock:
                    number = len(outer.requests)
                    outer.requests.append(body)
                    outer.running += 1
                    outer.most_running = max(outer.most_running, outer.running)
                try:
                    with contextlib.suppress(OSError):
                        outer.scripts[min(number, len(outer.scripts) - 1)](Conversation(self, body))
                finally:
                    with outer._lock:
                        outer.running -= 1

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client may hang up
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def hostile(*scripts: Callable[[Conversation], None], **options: Any) -> Iterator[HostileServer]:
    server = HostileServer(*scripts, **options)
    try:
        yield server
    finally:
        server.close()


def nap(seconds: float) -> None:
    time.sleep(seconds)


def backend_for(
    *servers: HostileServer, parallel: int | None = 4, patience: Patience = QUICK
) -> ServerBackend:
    endpoints = tuple(server.url for server in servers)
    settings = EngineSettings("server", MODEL, parallel=parallel, endpoints=endpoints)
    return ServerBackend(settings, patience)


def group(name: str = "g", k: int = 1, tokens: int = 50, **more: Any) -> GroupRequest:
    prompt = (Message(role="user", content="say it"),)
    samples = tuple(SampleRequest(f"{name}.{i}", 10 + i) for i in range(k))
    return GroupRequest(name, prompt, samples, Sampling(temperature=0.5, max_tokens=tokens), **more)


def ends(
    *servers: HostileServer, groups: tuple[GroupRequest, ...] | None = None, **how: Any
) -> dict[str, Finished]:
    backend = backend_for(*servers, **how)
    try:
        found = run(backend, groups or (group(),))
        return {name: outcome.finished for name, outcome in found.items()}
    finally:
        backend.close()

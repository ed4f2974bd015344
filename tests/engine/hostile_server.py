"""A server on loopback that misbehaves as it is told, for one request after the other."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODEL = "org/tiny-model"
Script = "Callable[[Conversation], None]"


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
        self, *scripts: Callable[[Conversation], None], owner: str = "me", models: tuple[str, ...] = (MODEL,)
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

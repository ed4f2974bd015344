"""A hub on loopback that lists repos as Hugging Face and ModelScope do, and misbehaves as told.

Faults are drawn from a list, one a request for bytes; an empty list means good behaviour.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FAULTS = ("drop", "429", "503", "500", "ignore_range", "wrong_size", "stall", "short", "reset")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Hub:
    """What the server holds and what it was asked; shared by all of its threads."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    token: str = ""
    faults: list[str] = field(default_factory=list)
    api_faults: list[str] = field(default_factory=list)
    corrupt: dict[str, int] = field(default_factory=dict)
    """Paths whose next so many answers hold a wrong byte."""
    listed_sizes: dict[str, int] = field(default_factory=dict)
    bytes_per_s: float = 0
    sent: int = 0
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    commit: str = COMMIT
    names_only: bool = False
    """Whether listings leave out sizes and hashes, as some mirrors do."""
    retry_after: str = "0"
    url: str = ""
    cdn: str = ""

    def next_fault(self) -> str:
        with self.lock:
            return self.faults.pop(0) if self.faults else ""

    def count(self, length: int) -> None:
        with self.lock:
            self.sent += length


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    is_cdn = False

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub = self.hub
        with hub.lock:
            hub.requests.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
        path = unquote(urlsplit(self.path).path)
        try:
            if self.is_cdn:
                repo, _, file = path.removeprefix("/cdn/").partition("/resolve/")
                self.send_file(repo, file)
            elif path.startswith("/api/models/"):
                self.send_listing(path.removeprefix("/api/models/").partition("/revision/")[0])
            elif path == "/api/models":
                self.send_search()
            elif path.startswith("/api/v1/models/"):
                self.send_modelscope(path.removeprefix("/api/v1/models/").removesuffix("/repo/files"))
            else:
                self.send_resolved(path)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def allowed(self) -> bool:
        return not self.hub.token or self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def send_plain(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_listing(self, repo: str) -> None:
        with self.hub.lock:
            fault = self.hub.api_faults.pop(0) if self.hub.api_faults else ""
        if fault:
            self.send_plain(int(fault), Retry_After=self.hub.retry_after)
        elif not self.allowed() and self.headers.get("Authorization"):
            self.send_plain(401, b"{}", X_Error_Message="Invalid credentials in Authorization header")
        elif repo not in self.hub.repos or not self.allowed():
            self.send_plain(401, b"{}", X_Error_Code="RepoNotFound")
        else:
            siblings = []
            for name, data in self.hub.repos[repo].items():
                size = self.hub.listed_sizes.get(name, len(data))
                entry: dict[str, Any] = {"rfilename": name, "size": size, "blobId": git_hash(data)}
                if not name.endswith(".json"):
                    entry["lfs"] = {"sha256": sha256(data), "size": size, "pointerSize": 130}
                siblings.append({"rfilename": name} if self.hub.names_only else entry)
            body = {
                "id": repo,
                "modelId": repo,
                "sha": self.hub.commit,
                "siblings": siblings,
                "private": False,
            }
            self.send_plain(200, json.dumps(body).encode(), Content_Type="application/json")

    def send_search(self) -> None:
        words = parse_qs(urlsplit(self.path).query).get("search", [""])[0].lower()
        found = [
            {"id": repo, "modelId": repo, "downloads": 7, "likes": 1, "tags": ["gguf"], "private": False}
            for repo in self.hub.repos
            if words in repo.lower()
        ]
        self.send_plain(200, json.dumps(found).encode(), Content_Type="application/json")

    def send_modelscope(self, repo: str) -> None:
        if repo not in self.hub.repos:
            self.send_plain(404)
            return
        files = [
            {"Path": name, "Size": len(data), "Sha256": sha256(data), "Type": "blob", "Revision": COMMIT}
            for name, data in self.hub.repos[repo].items()
        ]
        body = json.dumps({"Code": 200, "Data": {"Files": files}}).encode()
        self.send_plain(200, body, Content_Type="application/json")

    def send_resolved(self, path: str) -> None:
        """Small files come from here, large ones from another origin with a signed address."""
        repo, _, rest = path.lstrip("/").removeprefix("models/").partition("/resolve/")
        file = rest.partition("/")[2]
        if repo not in self.hub.repos or file not in self.hub.repos[repo]:
            self.send_plain(404)
        elif not self.allowed():
            self.send_plain(401)
        elif file.endswith(".json"):
            self.send_file(repo, file)
        else:
            data = self.hub.repos[repo][file]
            self.send_plain(
                302,
                Location=f"{self.hub.cdn}/cdn/{repo}/resolve/{file}?signature=x",
                X_Linked_Etag=f'"{sha256(data)}"',
                X_Linked_Size=str(len(data)),
            )

    def send_file(self, repo: str, file: str) -> None:
        data = self.hub.repos[repo][file]
        fault = self.hub.next_fault()
        wanted = self.headers.get("Range", "").removeprefix("bytes=")
        start, end = 0, len(data)
        if wanted and fault != "ignore_range":
            first, _, last = wanted.partition("-")
            start, end = int(first), min(int(last) + 1 if last else len(data), len(data))
        if fault in ("429", "503", "500", "404"):
            self.send_plain(int(fault), Retry_After="0")
            return
        if fault == "reset":
            self.close_connection = True
            return
        body = bytearray(data[start:end])
        with self.hub.lock:
            if self.hub.corrupt.get(file, 0) > 0 and body:
                self.hub.corrupt[file] -= 1
                body[len(body) // 2] ^= 0xFF
        if self.command == "HEAD":
            self.send_plain(200, data, ETag=f'"{git_hash(data)}"')
            return
        if fault == "packed":
            self.send_plain(200, gzip.compress(data), Content_Encoding="gzip")
            return
        total = len(data) + (1 if fault == "wrong_size" else 0)
        self.send_response(206 if wanted and fault != "ignore_range" else 200)
        if wanted and fault != "ignore_range":
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{total}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault in ("drop", "short"):
            body = body[: self.hub.rng.randrange(len(body) + 1)]
            self.close_connection = True
        if fault == "wrong_size":
            self.close_connection = True
            return
        if fault == "stall":
            self.write(body[: len(body) // 2])
            time.sleep(0.25)
            self.close_connection = True
            return
        self.write(body)

    def write(self, body: bytearray) -> None:
        view = memoryview(body)
        for at in range(0, len(view), 1 << 14):
            part = view[at : at + (1 << 14)]
            self.wfile.write(part)
            self.hub.count(len(part))
            if self.hub.bytes_per_s:
                time.sleep(len(part) / self.hub.bytes_per_s)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def get_request(self) -> tuple[Any, Any]:
        """Small buffers, so that `sent` is close to what the other side could have received."""
        connection, address = super().get_request()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 15)
        return connection, address

    def handle_error(self, *_: Any) -> None:
        """Broken connections are what it is for."""


def serve(hub: Hub) -> Callable[[], None]:
    """Start the hub and its second origin; returns the function that stops both."""
    servers = []
    for is_cdn in (False, True):
        handler = type("BoundHandler", (Handler,), {"hub": hub, "is_cdn": is_cdn})
        server = Server(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        if is_cdn:
            hub.cdn = address
        else:
            hub.url = address
        servers.append(server)

    def stop() -> None:
        for server in servers:
            server.shutdown()
            server.server_close()

    return stop

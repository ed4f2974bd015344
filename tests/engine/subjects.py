"""A script and servers, on a tiny model, for the backends under test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


STARTUP_S = 120.0


def write_script(path: Path) -> Path:
    """Texts of the alphabet that the tiny model uses; one of them repeats itself without end."""
    texts = ["<|assistant|>ab cd. ef " * 1, "ab ef gh. " * 40, "cd . ba " * 3, "h " * 3000]
    path.write_text(json.dumps({"texts": texts, "knows": [[[0, "gh ba"]]], "cells": 4096, "real_s": 0.0005}))
    return path


class Server:
    """A server process on a free port of 127.0.0.1."""

    def __init__(self, command: Sequence[str], log: Path, model: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.model, self._log = model, log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command, "--port", str(self.port)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "HF_HUB_OFFLINE": "1"},
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def wait(self) -> Server:
        deadline = time.monotonic() + STARTUP_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/models", timeout=5):
                return self
            time.sleep(0.2)
        raise AssertionError(f"the server did not start: {self._log.read_text()[-2000:]}")

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def llama_server(gguf: Path, log: Path) -> Server:
    """llama-cpp-python's own server; it runs one request at a time."""
    program = str(Path(__file__).with_name("serve_llama.py"))
    command = [program, "--model", str(gguf), "--n_ctx", "2048", "--interrupt_requests", "false"]
    return Server([*command, "--n_threads", "1"], log, str(gguf))


def localrl_server(gguf: Path, log: Path) -> Server:
    """Our own."""
    command = ["-m", "localrl", "serve", str(gguf), "--ctx", "4096", "--parallel", "4"]
    return Server(command, log, gguf.stem)


def mlx_server(folder: Path, log: Path) -> Server:
    return Server(["-m", "mlx_lm", "server", "--model", str(folder), "--host", "127.0.0.1"], log, str(folder))

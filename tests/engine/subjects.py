"""The backends that the conformance suite runs against, each on a tiny model or a script made on the spot."""

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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from localrl.engine.backends import BACKENDS
from localrl.engine.protocol import EngineSettings, Event, Finished, FinishReason, Metrics, Started, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from localrl.engine.protocol import Backend, GroupRequest

STARTUP_S = 120.0
PATIENCE_S = 180.0
"""Far more than anything takes, for a machine that is busy with other things."""


@dataclass(frozen=True)
class Subject:
    """One backend under test, and what can be expected of it beside the protocol."""

    name: str
    settings: EngineSettings
    counts: bool = True
    """It sees tokens: prompts are counted, shared within a group, and refused when they are too long."""
    seeded: bool = True
    """The same seed gives the same text, whatever runs beside it."""
    too_long: FinishReason | None = FinishReason.REFUSED
    """How a prompt ends that does not fit; None for a server that takes every prompt."""
    templated: bool = True
    """It knows whether the rendered prompt ends inside the thinking tags."""

    @contextlib.contextmanager
    def open(self, **settings: int | None) -> Iterator[Backend]:
        chosen = {"parallel": 4, **settings}
        wanted = replace(self.settings, **chosen)  # type: ignore[arg-type]
        backend = BACKENDS.get(wanted.backend).load(wanted)
        try:
            yield backend
        finally:
            backend.close()


def write_script(path: Path) -> Path:
    """Texts of the alphabet that the tiny model uses; one of them repeats itself without end."""
    texts = ["<|assistant|>ab cd. ef " * 1, "ab ef gh. " * 40, "cd . ba " * 3, "h " * 3000]
    path.write_text(json.dumps({"texts": texts, "cells": 4096, "real_s": 0.0005}))
    return path


def run(backend: Backend, groups: Sequence[GroupRequest], seconds: float = PATIENCE_S) -> dict[str, Outcome]:
    """Submit, step until nothing is left, and check what must hold of every sample's events."""
    for group in groups:
        backend.submit(group)
    return collect(backend, seconds)


@dataclass
class Outcome:
    """All events of one sample."""

    starts: int = 0
    texts: tuple[Text, ...] = ()
    end: Finished | None = None

    @property
    def finished(self) -> Finished:
        assert self.end is not None
        return self.end

    @property
    def reason(self) -> FinishReason:
        return self.finished.reason

    @property
    def text(self) -> str:
        return self.finished.text


def collect(backend: Backend, seconds: float = PATIENCE_S) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    deadline = time.monotonic() + seconds
    while backend.busy:
        assert time.monotonic() < deadline, "the backend hangs"
        for event in backend.step():
            take(outcomes, event)
    return outcomes


def take(outcomes: dict[str, Outcome], event: Event) -> None:
    if isinstance(event, Metrics):
        return
    outcome = outcomes.setdefault(event.sample, Outcome())
    assert outcome.end is None, "nothing comes after the end"
    if isinstance(event, Started):
        outcome.starts, outcome.texts = outcome.starts + 1, ()
    elif isinstance(event, Text):
        assert outcome.starts, "text comes after the start"
        outcome.texts += (event,)
    else:
        outcome.end = event


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


def mlx_server(folder: Path, log: Path) -> Server:
    return Server(["-m", "mlx_lm", "server", "--model", str(folder), "--host", "127.0.0.1"], log, str(folder))

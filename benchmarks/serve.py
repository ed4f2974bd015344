"""What `localrl serve` costs, as ratios in one run: against the engine alone, and against llama-server.

    python benchmarks/serve.py [MODEL] [--streams 8] [--tokens 128] [--rounds 3] [--llama-server PATH]

The same requests go to the engine by its client in this process, to our server, and to llama-server (its own
binary, as many slots), in turns. Tokens per second are all tokens over the wall time of a round. `n=16`
compares the time to the first tokens of 16 samples of one long prompt with that of one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from localrl.engine.client import EngineClient
from localrl.engine.protocol import Finished, GroupRequest, SampleRequest
from localrl.sampling import Sampling
from localrl.serve import server
from localrl.serve.background import BackgroundServer
from localrl.serve.options import ServeOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.engine.protocol import EngineSettings


def prompts(streams: int, round_: int) -> list[str]:
    """As different as their first words, so that nothing is shared with the round before."""
    return [
        f"{round_}.{i} Tell me what you know of the number {round_ * streams + i}." for i in range(streams)
    ]


def alone(client: EngineClient, texts: list[str], tokens: int) -> float:
    """Tokens per second of the engine without a server."""
    began = time.monotonic()
    sampling = Sampling(temperature=0.8, max_tokens=tokens)
    for i, text in enumerate(texts):
        name = f"{text[:8]}-{i}"
        samples = (SampleRequest(f"{name}.0", i),)
        client.submit(GroupRequest(name, text, samples, sampling, loop_guard=False, ignore_end=True))
    left = len(texts)
    while left:
        left -= sum(isinstance(event, Finished) for event in client.events())
    return len(texts) * tokens / (time.monotonic() - began)


async def served(url: str, texts: list[str], tokens: int) -> float:
    """Tokens per second through a server, streamed to one client each."""

    async def one(session: aiohttp.ClientSession, seed: int, text: str) -> None:
        body = {
            "prompt": text,
            "max_tokens": tokens,
            "temperature": 0.8,
            "top_k": 0,
            "top_p": 1.0,
            "min_p": 0.0,
            "seed": seed,
            "stream": True,
            "ignore_eos": True,
        }
        async with session.post(f"{url}/completions", json=body) as response:
            async for _ in response.content:
                pass

    async with aiohttp.ClientSession() as session:
        began = time.monotonic()
        await asyncio.gather(*(one(session, i, text) for i, text in enumerate(texts)))
        return len(texts) * tokens / (time.monotonic() - began)


async def first_tokens(url: str, text: str, n: int) -> float:
    """Seconds until each of n samples of one prompt has its first token."""
    body = {"prompt": text, "n": n, "max_tokens": 2, "stream": True, "ignore_eos": True, "seed": 1}
    begun: set[int] = set()
    began = time.monotonic()
    async with aiohttp.ClientSession() as session, session.post(f"{url}/completions", json=body) as response:
        async for line in response.content:
            if line.startswith(b"data: {"):
                begun |= {choice["index"] for choice in json.loads(line[6:])["choices"] if choice["text"]}
            if len(begun) == n:
                return time.monotonic() - began
    raise RuntimeError("the server ended early")


@contextlib.contextmanager
def ours(choice: Any, settings: EngineSettings) -> Iterator[str]:
    background = BackgroundServer(choice, settings, ServeOptions(port=0))
    background.start()
    try:
        assert background.status
        yield f"{background.status.address}/v1"
    finally:
        background.stop()


@contextlib.contextmanager
def llama_server(program: str, settings: EngineSettings, streams: int) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        program,
        "-m",
        settings.model,
        "--port",
        str(port),
        "-np",
        str(streams),
        "-c",
        str(streams * 1024),
    ]
    process = subprocess.Popen([*command, "-kvu"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health"):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", default="smollm2-135m")
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--llama-server", default="")
    given = parser.parse_args()
    streams, tokens = given.streams, given.tokens
    choice, settings = server.make(given.model, parallel=max(streams, 16), context=max(streams, 16) * 1024)
    rates: dict[str, list[float]] = {"engine": [], "serve": [], "llama-server": []}
    with contextlib.ExitStack() as stack:
        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "log"
        client = stack.enter_context(EngineClient(settings, log))
        url = stack.enter_context(ours(choice, settings))
        other = given.llama_server
        rival = stack.enter_context(llama_server(other, settings, streams)) if other else ""
        for round_ in range(given.rounds + 1):
            texts = prompts(streams, round_)
            measured = {
                "engine": alone(client, texts, tokens),
                "serve": asyncio.run(served(url, texts, tokens)),
            }
            if rival:
                measured["llama-server"] = asyncio.run(served(rival, texts, tokens))
            if round_:  # the first warms up
                for name, rate in measured.items():
                    rates[name].append(rate)
        ratios = []
        for round_ in range(given.rounds):
            long = f"{round_} " + "The quick brown fox jumps over the lazy dog. " * 50
            one = asyncio.run(first_tokens(url, "a" + long, 1))
            ratios.append(asyncio.run(first_tokens(url, "b" + long, 16)) / one)
    serve = statistics.median(rates["serve"])
    print(f"{streams} streams of {tokens} tokens: serve {serve:.1f} tokens/s")
    for name in ("engine", "llama-server"):
        if rates[name]:
            pairs = [a / b for a, b in zip(rates["serve"], rates[name], strict=True)]
            print(
                f"  serve / {name}: {statistics.median(pairs):.3f} ({', '.join(f'{p:.3f}' for p in pairs)})"
            )
    print(f"  first tokens of 16 samples / of one: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()

"""What the server backend adds to what a server sustains: the same requests by a bare asyncio client.

    python benchmarks/server.py [--streams 32] [--requests 128] [--tokens 200] [--interval 0.01]

The server is a process of its own that sends one token each `interval` to every stream, as an accelerator
with that batch would; the bare client reads bytes until the end and looks at nothing. Runs alternate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import time

from localrl.engine.backends.server.backend import ServerBackend
from localrl.engine.protocol import EngineSettings, Finished, GroupRequest, SampleRequest
from localrl.sampling import Sampling

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: close\r\n\r\n"


def serve(port: multiprocessing.Queue[int], interval: float) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        if head.startswith("get"):
            writer.write(HEAD % b"application/json" + b'{"data": [{"id": "fake"}]}')
        else:
            length = int(head.split("content-length:")[1].split("\r\n")[0])
            tokens = json.loads(await reader.readexactly(length))["max_tokens"]
            writer.write(HEAD % b"text/event-stream")
            due = time.monotonic()
            for i in range(tokens):
                due += interval
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                chunk = {"choices": [{"index": 0, "delta": {"content": f" word{i}"}}]}
                writer.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}
            writer.write(b"data: " + json.dumps(end).encode() + b"\n\ndata: [DONE]\n\n")
        await writer.drain()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def bare(port: int, streams: int, requests: int, tokens: int) -> float:
    async def one(slots: asyncio.Semaphore) -> None:
        async with slots:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            body = json.dumps({"max_tokens": tokens}).encode()
            writer.write(b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            while await reader.read(1 << 16):
                pass
            writer.close()

    async def run() -> None:
        slots = asyncio.Semaphore(streams)
        await asyncio.gather(*(one(slots) for _ in range(requests)))

    began = time.monotonic()
    asyncio.run(run())
    return requests * tokens / (time.monotonic() - began)


def ours(port: int, streams: int, requests: int, tokens: int) -> float:
    settings = EngineSettings("server", "fake", parallel=streams, endpoints=(f"http://127.0.0.1:{port}/v1",))
    backend = ServerBackend(settings)
    began = time.monotonic()
    for i in range(requests):
        backend.submit(
            GroupRequest(f"g{i}", "x", (SampleRequest(f"g{i}.0", i),), Sampling(max_tokens=tokens))
        )
    done = 0
    while backend.busy:
        done += sum(isinstance(event, Finished) for event in backend.step())
    seconds = time.monotonic() - began
    backend.close()
    assert done == requests
    return requests * tokens / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--requests", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--interval", type=float, default=0.01)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    port: multiprocessing.Queue[int] = multiprocessing.Queue()
    process = multiprocessing.Process(target=serve, args=(port, given.interval), daemon=True)
    process.start()
    number, work = port.get(), (given.streams, given.requests, given.tokens)
    rates: dict[str, list[float]] = {"bare": [], "localrl": []}
    for _ in range(given.rounds):
        rates["bare"].append(bare(number, *work))
        rates["localrl"].append(ours(number, *work))
    process.terminate()
    for name, found in rates.items():
        print(f"{name:8} {statistics.median(found):8.0f} tokens/s  ({min(found):.0f} to {max(found):.0f})")
    share = statistics.median(rates["localrl"]) / statistics.median(rates["bare"])
    print(f"overhead {100 * (1 - share):.1f} %")


if __name__ == "__main__":
    main()

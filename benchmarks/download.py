"""Measure downloads by hand: throughput against curl, and memory over a large file, on loopback.

    python benchmarks/download.py [--gib 4] [--rounds 3]

A sparse file is served by sendfile, so that neither the server nor its disk is the limit; the copies go to a
temporary folder (set TMPDIR to choose the disk) and are removed.
"""

from __future__ import annotations

import argparse
import hashlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

FETCH = """
import sys, time
from pathlib import Path
from localrl.catalog.transfer import RemoteFile, Transfer
url, size, sha256, target = sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
began = time.monotonic()
Transfer(RemoteFile(url, "big.gguf", size, sha256, sha256), target).run()
seconds = time.monotonic() - began
peak = open("/proc/self/status").read().split("VmHWM:")[1].split()[0]
print(seconds, peak)
"""


def serve(path: Path) -> int:
    """Serve one file with ranges; returns the port."""
    size = path.stat().st_size
    server = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        requests = connection.makefile("rb")
        while line := requests.readline():
            start, end = 0, size - 1
            while (header := requests.readline().strip()) and line:
                name, _, value = header.decode().partition(":")
                if name.lower() == "range":
                    first, _, last = value.strip().removeprefix("bytes=").partition("-")
                    start, end = int(first), int(last) if last else size - 1
            head = f"HTTP/1.1 206 OK\r\nContent-Length: {end - start + 1}\r\n"
            head += f"Content-Range: bytes {start}-{end}/{size}\r\n\r\n"
            connection.sendall(head.encode())
            with path.open("rb") as file:
                connection.sendfile(file, start, end - start + 1)

    def accept() -> None:
        while True:
            threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(server.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    size = int(options.gib * 2**30)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "big.gguf", Path(folder) / "copy"
        with source.open("wb") as file:
            file.truncate(size)
        digest = hashlib.sha256()
        for at in range(0, size, 1 << 22):
            digest.update(bytes(min(1 << 22, size - at)))
        url = f"http://127.0.0.1:{serve(source)}/big.gguf"
        for _ in range(options.rounds):
            began = time.monotonic()
            subprocess.run(["curl", "-s", "-o", str(target), url], check=True)
            curl = time.monotonic() - began
            target.unlink()
            arguments = [url, str(size), digest.hexdigest(), str(target)]
            found = subprocess.run(
                [sys.executable, "-c", FETCH, *arguments], check=True, capture_output=True, text=True
            )
            seconds, peak = (float(part) for part in found.stdout.split())
            target.unlink()
            print(
                f"curl {size / curl / 1e6:,.0f} MB/s, localrl {size / seconds / 1e6:,.0f} MB/s "
                f"({curl / seconds:.2f} of curl, hashed), peak memory {peak / 1024:.0f} MiB"
            )


if __name__ == "__main__":
    main()

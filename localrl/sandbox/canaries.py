"""Fail closed: before any code is graded, harmless attempts to get out are made inside the real sandbox.

Each must fail, and a small honest program must work. What cannot be shown to hold is taken not to hold.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from localrl.sandbox import interpreter
from localrl.sandbox.limits import MIB, Limits
from localrl.sandbox.process import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable

    from localrl.sandbox.process import ProcessResult

    Run = Callable[[str, bytes, Limits], ProcessResult]

_LIMITS = Limits(wall_s=20.0)
_ATTEMPTS = 17
_SECRET = b"canary"
_HONEST = """\
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(int, input().split())))
"""
_MEMORY = (
    "a = bytearray(1 << 30)\na[::4096] = bytes(len(a[::4096]))\nimport time; time.sleep(1); print('done')"
)
_THREADS = """\
import threading, time
threading.stack_size(1 << 16)
for _ in range(500):
    threading.Thread(target=time.sleep, args=(1,), daemon=True).start()
time.sleep(1)
print("done")
"""


def holes(run: Run) -> list[str]:
    """What a program could do that it must not; empty when the sandbox holds.

    Args:
        run: runs a program's text with some standard input under limits.

    Raises:
        SandboxError: the sandbox cannot run anything.
    """
    honest = run(_HONEST, b"20 22\n", _LIMITS)
    if honest.stdout.split() != [b"42"]:
        raise SandboxError(f"an honest program fails in it: {honest.stderr.decode(errors='replace')[-200:]}")
    found = _escapes(run)
    if b"done" in run(_MEMORY, b"", replace(_LIMITS, memory_bytes=256 * MIB)).stdout:
        found.append("use too much memory")
    if b"done" in run(_THREADS, b"", _LIMITS).stdout:
        found.append("start too many threads")
    return found


def _escapes(run: Run) -> list[str]:
    source = (interpreter.INSIDE / "canary.py").read_text(encoding="utf-8")
    home = Path("~").expanduser()
    with (
        tempfile.TemporaryDirectory(prefix="localrl-canary-") as folder,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        secret, new = Path(folder) / "secret", home / f".{Path(folder).name}"
        secret.write_bytes(_SECRET)
        mode = secret.stat().st_mode
        want = {
            "secret": str(secret),
            "at_home": str(_readable_file(home) or secret),
            "new": str(new),
            "port": listener.getsockname()[1],
            "parent": os.getpid(),
            "environment": [*interpreter.environment(), "PWD", "LC_CTYPE"],
        }
        said = run(source, json.dumps(want).encode() + b"\n", _LIMITS)
        try:
            results: dict[str, str] = json.loads(said.stdout)
        except ValueError as error:
            text = said.stderr.decode(errors="replace")[-200:]
            raise SandboxError(f"the canaries did not report: {text}") from error
        found = [name for name, result in results.items() if result == "done"]
        if len(results) != _ATTEMPTS:
            found.append("keep canaries from being tried")
        if not secret.exists() or secret.read_bytes() != _SECRET or secret.stat().st_mode != mode:
            found.append("change a file")
        for made in (secret.with_suffix(".new"), new):
            if made.exists():
                found.append("make a file")
                made.unlink()
        listener.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            listener.accept()[0].close()
            found.append("reach a local port")
    return found


def _readable_file(folder: Path) -> Path | None:
    with contextlib.suppress(OSError):
        files = (path for path in sorted(folder.iterdir()) if path.is_file() and os.access(path, os.R_OK))
        return next(files, None)
    return None

"""Harmless attempts to get out, made inside the real sandbox; prints `{attempt: "denied" or "done"}` as JSON.

Standard input holds one JSON object: `secret` (a file of the user), `at_home` (another, in the home folder),
`new` (one to be made there), `port` (a listener on loopback), `parent` (its process id), `environment` (the
names of variables that may be seen).
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import sys
from pathlib import Path

FIOSETOWN, FS_IOC_GETFLAGS = 0x8901, 0x80086601
want = json.loads(sys.stdin.readline())
secret = Path(want["secret"])


def connect() -> None:
    with socket.socket(socket.AF_INET) as outside:
        outside.settimeout(2)
        outside.connect(("127.0.0.1", want["port"]))


def signal_parent() -> None:
    if want["parent"] == os.getpid():
        raise PermissionError("this is a world of its own, in which the number is ours")
    os.kill(want["parent"], 0)


def fork() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


def read_environments() -> None:
    """Done when any process shows a variable that this one was not given."""
    seen: set[str] = set()
    for process in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        try:
            data = (process / "environ").read_bytes()
        except OSError:
            continue
        seen |= {item.partition(b"=")[0].decode() for item in data.split(b"\0") if item}
    if not seen - set(want["environment"]):
        raise PermissionError("nothing to see")


def owned_by_parent() -> socket.socket:
    """A socket. Its owner gets signals from the kernel, which Landlock does not stop before Linux 6.12."""
    if want["parent"] == os.getpid():
        raise PermissionError("this is a world of its own, in which the number is ours")
    return socket.socketpair()[0]


def outlive_parent() -> None:
    if not hasattr(ctypes.CDLL(None), "prctl") or ctypes.CDLL(None).prctl(1, 0, 0, 0, 0):
        raise PermissionError("denied")


ATTEMPTS = {
    "read a file": secret.read_bytes,
    "read a file in the home folder": Path(want["at_home"]).read_bytes,
    "make a file in the home folder": lambda: Path(want["new"]).write_text("x"),
    "write over it": lambda: secret.write_text("x"),
    "change its mode": lambda: secret.chmod(0o777),
    "delete it": secret.unlink,
    "write beside it": lambda: secret.with_suffix(".new").write_text("x"),
    "connect to a port": connect,
    "make a local socket": lambda: socket.socket(socket.AF_UNIX),
    "signal the parent": signal_parent,
    "have the kernel signal the parent": lambda: fcntl.fcntl(
        owned_by_parent(), fcntl.F_SETOWN, want["parent"]
    ),
    "the same by ioctl": lambda: fcntl.ioctl(owned_by_parent(), FIOSETOWN, struct.pack("i", want["parent"])),
    "read the flags of a file": lambda: fcntl.ioctl(
        os.open(os.__file__, os.O_RDONLY), FS_IOC_GETFLAGS, bytes(8)
    ),
    "fork": fork,
    "start a command": lambda: os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {}),
    "read another's environment": read_environments,
    "outlive the parent": outlive_parent,
}

results = {}
for name, attempt in ATTEMPTS.items():
    try:
        attempt()
        results[name] = "done"
    except Exception:  # noqa: BLE001 - however it is denied
        results[name] = "denied"
results["change its mode"] = "left to the parent"  # the call may be ignored without an error
print(json.dumps(results))

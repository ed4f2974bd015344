"""Bytes that a program may read from a descriptor, and that nobody can change."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Self

if sys.platform == "linux":
    import fcntl

    _SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


class Blob:
    """On Linux a sealed file in memory; elsewhere a temporary file that its descriptors only read."""

    def __init__(self, data: bytes) -> None:
        if sys.platform == "linux":
            self._descriptor = os.memfd_create("blob", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            self._path = f"/proc/self/fd/{self._descriptor}"
        else:
            self._descriptor, self._path = tempfile.mkstemp()
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            if sys.platform == "linux":
                fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, _SEALS)
        except BaseException:
            self.close()
            raise

    def open(self) -> int:
        """A descriptor that reads from the start, whatever others have read; the caller closes it."""
        return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._descriptor)
        if sys.platform != "linux":
            os.unlink(self._path)  # noqa: PTH108 - may run while the interpreter shuts down

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

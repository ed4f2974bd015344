"""llama.cpp's own start, its log, and models that it loads from checked files."""

from __future__ import annotations

import ctypes
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

import llama_cpp as lib

from localrl.catalog import gguf, hashes, shards
from localrl.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.catalog.gguf_header import Header

DEBUG, INFO, WARNING, ERROR, GOES_ON = range(1, 6)
"""ggml's log levels, as its ggml.h numbers them; the last is of progress dots."""

_log: deque[str] = deque(maxlen=50)
"""Warnings and errors, which explain a failure to load."""


@lib.llama_log_callback  # type: ignore[untyped-decorator]
def _on_log(level: int, text: bytes, _data: Any) -> None:
    if level in (DEBUG, GOES_ON):  # a line or more for each tensor and each layer
        return
    line = text.decode("utf-8", errors="replace")
    if level in (WARNING, ERROR):
        _log.append(line.strip())
    sys.stderr.write(line)


def last_error() -> str:
    return " ".join(list(_log)[-2:]) or "no reason given"


def begin(path: Path) -> Header:
    """Start the library, and check a model's files before it sees them.

    Raises:
        UsageError: they changed since they were hashed, or are no model.
    """
    lib.llama_log_set(_on_log, ctypes.c_void_p(0))
    lib.llama_backend_init()
    for part in shards.files(path):
        hashes.check_unchanged(part)
    return gguf.preflight(path)


def load_model(path: str, params: Any) -> Any:
    """A `llama_model`.

    Raises:
        UsageError: llama.cpp cannot load it.
    """
    model = lib.llama_model_load_from_file(path.encode(), params)
    if not model:
        raise UsageError(
            f"llama.cpp cannot load {path}: {last_error()}",
            hint="check the file with `localrl models verify`",
        )
    return model

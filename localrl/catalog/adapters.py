"""LoRA adapters in GGUF files, checked before a native library sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localrl.catalog import gguf
from localrl.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.catalog.gguf_header import Header


def check(path: Path, architecture: str = "") -> Header:
    """The header of an adapter, for models of this architecture where it is given, as GGUF names it.

    Raises:
        UsageError: the file is none.
    """
    header = gguf.read_local(path)
    if header.text("general.type") != "adapter" or header.text("adapter.type") != "lora":
        raise UsageError(f"{path} is no LoRA adapter", hint="make one with `localrl train`")
    if architecture and header.architecture != architecture:
        raise UsageError(f"{path} is an adapter for {header.architecture!r}, not for {architecture!r}")
    return header

"""LoRA adapters in GGUF files, checked before a native library sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localrl.catalog import gguf, hashes, shards
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


def fingerprint(path: Path, model: Path) -> str:
    """The SHA-256 of an adapter, once it is known to be one for this model, as far as headers tell.

    Raises:
        UsageError: it is none.
    """
    if model.suffix == ".gguf":
        check(path, gguf.read_local(shards.files(model)[0]).architecture)
    if not path.exists():
        raise UsageError(f"there is no adapter {path}")
    return hashes.of(path) if path.is_file() else ""


def check_unchanged(path: Path, sha256: str) -> None:
    """
    Raises:
        UsageError: it is gone, or another one now.
    """
    if not path.exists():
        raise UsageError(f"the adapter of this run is gone: {path}")
    if sha256 and hashes.of(path) != sha256:
        raise UsageError(f"{path} has changed since this run began", hint="begin a new run with it")

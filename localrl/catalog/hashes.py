"""SHA-256 of model files, remembered for as long as a file's size and time of change stay the same."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from localrl import paths
from localrl.errors import StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BLOCK_BYTES = 4 << 20


def of(path: Path, stopped: Callable[[], bool] = lambda: False, *, again: bool = False) -> str:
    """A file's SHA-256, read where it is not known or `again`; empty if it was `stopped` meanwhile."""
    if not again and (found := known(path)):
        return found
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            if stopped():
                return ""
    remember(path, digest.hexdigest())
    return digest.hexdigest()


def known(path: Path) -> str:
    """The SHA-256 that was found before, if the file has not changed since; else empty."""
    found = _remembered().get(_key(path))
    return str(found[2]) if isinstance(found, list) and found[:2] == _state(path) else ""


def remember(path: Path, sha256: str) -> None:
    """Note what was found; where that cannot be kept, the file will be read once more."""
    place = paths.home("cache") / "sha256.json"
    fresh = place.with_name(place.name + ".new")
    try:
        paths.ensure(place.parent)
        paths.private(fresh).write_text(json.dumps(_remembered() | {_key(path): [*_state(path), sha256]}))
        fresh.replace(place)
    except (OSError, StoreError):
        return


def check_unchanged(path: Path) -> None:
    """Refuse a file of the hub's cache that was changed since it was checked, and is not the hub's any more.

    Raises:
        UsageError: it is not.
    """
    blob = path.resolve()
    found = _remembered().get(_key(path))
    if not re.fullmatch("[0-9a-f]{64}", blob.name) or not isinstance(found, list):
        return
    if found[:2] != _state(path) and of(path) != blob.name:
        raise UsageError(
            f"{path.name} has changed since it was pulled: its SHA-256 is not the hub's",
            hint="pull it again",
        )


def _remembered() -> dict[str, Any]:
    try:
        found = json.loads((paths.home("cache") / "sha256.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _key(path: Path) -> str:
    return str(path.resolve())


def _state(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]

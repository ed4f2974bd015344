"""Where localrl keeps things. `LOCALRL_HOME` puts config, data, state and cache under one folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from localrl.errors import StoreError

Kind = Literal["config", "data", "state", "cache"]


def home(kind: Kind) -> Path:
    """The folder for one kind of file; it may not exist yet."""
    if root := os.environ.get("LOCALRL_HOME"):
        return Path(root).expanduser() / kind
    import platformdirs

    dirs = platformdirs.PlatformDirs("localrl", appauthor=False)
    return Path(getattr(dirs, f"user_{kind}_dir"))


def ensure(folder: Path) -> Path:
    """Make a folder that localrl writes to.

    Raises:
        StoreError: the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot create {folder}: {error.strerror}", hint="set LOCALRL_HOME to a folder you can write to"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(f"cannot write to {folder}", hint="set LOCALRL_HOME to a folder you can write to")
    return folder


def existing_parent(path: Path | str) -> Path:
    """The path itself, or the nearest folder above it that is there."""
    place = Path(path)
    while not place.exists():
        place = place.parent
    return place


def shipped(kind: Literal["models", "evals"]) -> Path:
    """The TOML files that come with localrl: inside a wheel, or beside the package in a checkout."""
    package = Path(__file__).parent
    inside = package / "_data" / kind
    return inside if inside.is_dir() else package.parent / kind

"""Rows of a file inside an installed Python package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from localrl.errors import Unavailable
from localrl.tomlfile import Strict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.evals.spec import EvalSpec

LOCAL = True


class Settings(Strict):
    module: str
    file: str


def describe(settings: Settings) -> str:
    return f"package {settings.module}"


def present(settings: Settings) -> bool:
    return _path(settings) is not None


def files(spec: EvalSpec, settings: Settings, folder: Path) -> Iterator[Path]:
    path = _path(settings)
    if path is None:
        raise Unavailable(f"package {settings.module} is not installed")
    yield path


def _path(settings: Settings) -> Path | None:
    found = importlib.util.find_spec(settings.module)
    path = Path(found.origin).parent / settings.file if found and found.origin else None
    return path if path and path.is_file() else None

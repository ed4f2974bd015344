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


class Params(Strict):
    module: str
    file: str


def describe(params: Params) -> str:
    return f"package {params.module}"


def present(params: Params) -> bool:
    return _path(params) is not None


def files(spec: EvalSpec, params: Params, folder: Path) -> Iterator[Path]:
    path = _path(params)
    if path is None:
        raise Unavailable(f"package {params.module} is not installed")
    yield path


def _path(params: Params) -> Path | None:
    found = importlib.util.find_spec(params.module)
    path = Path(found.origin).parent / params.file if found and found.origin else None
    return path if path and path.is_file() else None

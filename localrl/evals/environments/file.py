"""Rows of a local `.jsonl`, `.csv` or `.parquet` file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localrl.tomlfile import Strict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from localrl.evals.spec import EvalSpec

LOCAL = True


class Settings(Strict):
    path: str
    """Relative to the eval's TOML."""


def describe(settings: Settings) -> str:
    return settings.path


def files(spec: EvalSpec, settings: Settings, folder: Path) -> Iterator[Path]:
    yield folder / settings.path

"""Rows of a local `.jsonl`, `.json`, `.csv`, `.tsv` or `.parquet` file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from localrl.tomlfile import Strict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.evals.spec import EvalSpec

LOCAL = True


class Params(Strict):
    path: str
    """Relative to the eval's TOML."""


def describe(params: Params) -> str:
    return params.path


def files(spec: EvalSpec, params: Params, folder: Path) -> Iterator[Path]:
    yield folder / Path(params.path).expanduser()

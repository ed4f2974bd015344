"""Where an eval's problems come from: the `[data]` part of its definition."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from localrl.tomlfile import Strict

_DAY = r"^(\d{4}-\d{2}-\d{2})?$"

Layout = Literal["columns", "gsm8k", "gpqa", "ifeval", "humaneval", "livecodebench"]
"""How a row becomes a problem: by named columns, or as one published dataset lays its rows out."""


class GymData(Strict):
    """Problems made by one reasoning-gym generator; the same seed and parameters give the same problems."""

    generator: str
    size: int = Field(ge=1)
    seed: int = 0
    params: dict[str, Any] = {}


class FileData(Strict):
    """Rows of a local `.jsonl`, `.csv` or `.parquet` file, its path relative to the eval's TOML."""

    path: str


class PackageData(Strict):
    """Rows of a file inside an installed Python package; where it is missing, `[data.hub]` is used."""

    module: str
    file: str


class HubData(Strict):
    """Rows of files of a dataset on the hub, at one revision."""

    dataset: str
    """`owner/name`."""
    revision: str
    """A 40-hex commit, so that the problems can never change."""
    files: list[str]
    """Paths inside the dataset, in order."""
    gated: bool = False
    """True when its terms have to be accepted with an account."""


class Window(Strict):
    """Which rows of a dataset that grows by releases are taken."""

    release: int | None = Field(default=None, ge=1)
    """Only the first so many of the hub's files; None takes all."""
    since: str = Field(default="", pattern=_DAY)
    """First day, YYYY-MM-DD, by `column`; empty is no bound."""
    until: str = Field(default="", pattern=_DAY)
    """Last day, YYYY-MM-DD."""
    column: str = "contest_date"


class Data(Strict):
    """Exactly one source; `package` and `hub` may name the same data."""

    gym: list[GymData] = []
    file: FileData | None = None
    package: PackageData | None = None
    hub: HubData | None = None
    window: Window | None = None
    layout: Layout = "columns"
    size: int | None = Field(default=None, ge=1)
    """Problems, in the window where there is one; None where that has to be counted."""
    id: str | None = None
    """The column that names a row; without one, rows are numbered from 0."""
    question: str = "question"
    target: str = "target"

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        if bool(self.gym) + (self.file is not None) + (self.hub is not None or self.package is not None) != 1:
            raise ValueError("name exactly one source: [[data.gym]], [data.file], or [data.hub]")
        return self

"""What a person has set: flag, environment, project file, user file, default, in this order.

The project file is `./localrl.toml`, the user's is `config.toml` in the config folder. An unknown key is an
error that names the nearest known one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from localrl import paths, tomlfile
from localrl.tomlfile import Strict


class Settings(Strict):
    model: str = Field(default="smollm2-135m", min_length=1)
    """The model that commands use when none is named."""
    evals: list[str] = Field(default=["starter"], min_length=1)
    """The evals that `bench` runs when none is named."""
    parallel: int | str = "auto"
    ctx: int | None = Field(default=None, ge=64, le=2**31 - 1)
    """KV cells in all, over all streams; None takes what fits."""
    theme: str = "auto"
    """Of the terminal interface: `auto`, `dark`, `light`, or a theme of Textual's by name."""
    keys: dict[str, str] = {}
    """Other keys for the terminal interface, by the names that its help shows."""

    @field_validator("parallel", mode="before")
    @classmethod
    def _streams(cls, value: object) -> object:
        if value == "auto" or (type(value) is int and value > 0):
            return value
        raise ValueError(f"{value!r} is neither a number of streams nor 'auto'")


@dataclass(frozen=True, slots=True)
class Loaded:
    settings: Settings
    origin: dict[str, str]
    """For each key, `default` or the file that it came from."""


def files() -> list[Path]:
    """The settings files, the weakest first."""
    return [paths.home("config") / "config.toml", Path("localrl.toml")]


def load() -> Loaded:
    """Read the settings files.

    Raises:
        ConfigError: a file is malformed or holds an unknown key.
    """
    values: dict[str, Any] = {}
    origin = dict.fromkeys(Settings.model_fields, "default")
    for path in files():
        if path.is_file():
            found = tomlfile.load(path, Settings)
            for key in found.model_fields_set:
                values[key] = getattr(found, key)
                origin[key] = str(path)
    return Loaded(Settings(**values), origin)

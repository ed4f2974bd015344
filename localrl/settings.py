"""What a person has set: flag, environment, project file, user file, default, in this order.

The project file is `./localrl.toml`, the user's is `config.toml` in the config folder. An unknown key is an
error that names the nearest known one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from localrl import paths


@dataclass(frozen=True, slots=True)
class Settings:
    """The defaults; `metadata` holds the limits of what a file may set."""

    model: str = field(default="smollm2-135m", metadata={"min_length": 1})
    """The model that commands use when none is named."""
    evals: list[str] = field(default_factory=lambda: ["starter"], metadata={"min_length": 1})
    """The evals that `bench` runs when none is named."""
    parallel: int | str = "auto"
    ctx: int | None = field(default=None, metadata={"ge": 64, "le": 2**31 - 1})
    """KV cells in all, over all streams; None takes what fits."""
    theme: str = "auto"
    """Of the terminal interface: `auto`, `dark`, `light`, or a theme of Textual's by name."""
    keys: dict[str, str] = field(default_factory=dict)
    """Other keys for the terminal interface, by the names that its help shows."""


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
    origin = dict.fromkeys((one.name for one in fields(Settings)), "default")
    for path in files():
        if path.is_file():
            found = _read(path)
            values |= found
            origin |= dict.fromkeys(found, str(path))
    return Loaded(Settings(**values), origin)


def _read(path: Path) -> dict[str, Any]:
    """What one file sets. Pydantic is loaded only then: it is a third of what the interface loads."""
    from pydantic import Field, create_model, field_validator

    from localrl import tomlfile

    types = get_type_hints(Settings)
    checked: dict[str, Any] = {
        one.name: (types[one.name], Field(default=None, **one.metadata)) for one in fields(Settings)
    }
    model = create_model(
        "SettingsFile",
        __base__=tomlfile.Strict,
        __validators__={"streams": field_validator("parallel", mode="before")(_streams)},
        **checked,
    )
    return tomlfile.load(path, model).model_dump(exclude_unset=True)


def _streams(value: object) -> object:
    if value == "auto" or (type(value) is int and value > 0):
        return value
    raise ValueError(f"{value!r} is neither a number of streams nor 'auto'")

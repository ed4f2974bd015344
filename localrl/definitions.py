"""The TOML files that define evals, models and recipes: whose they are, and which hides which.

An installed package adds some with an entry point that names a folder of its own:

    [project.entry-points."localrl.evals"]
    puzzles = "my_package.evals"
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from localrl import paths
from localrl.errors import UsageError
from localrl.registry import plugged

if TYPE_CHECKING:
    from localrl.registry import Member


@dataclass(frozen=True, slots=True)
class Definition:
    """One TOML file."""

    path: Path
    origin: str
    """`here` (a folder of the working directory), `yours`, `localrl`, or the package that brings it."""


def definitions(kind: Literal["models", "evals", "recipes"]) -> dict[str, Definition]:
    """Every one of a kind by name; one here hides one of yours, that one of ours, that one of a package."""
    sound = [member for member in plugged(f"localrl.{kind}") if not fault(member)]
    folders = [(folder(member), member.package) for member in sound] + [
        (paths.shipped(kind), "localrl"),
        (paths.home("config") / kind, "yours"),
        (here := Path.cwd() / kind, "localrl" if here == paths.shipped(kind) else "here"),
    ]
    return {
        path.stem: Definition(path, origin)
        for place, origin in folders
        for path in sorted(place.glob("*.toml"))
    }


def folder(member: Member) -> Path:
    """The folder that an entry point names; what is in it is not imported.

    Raises:
        UsageError: there is none.
    """
    named = f"package {member.module!r}, named by {member.package},"
    try:
        spec = importlib.util.find_spec(member.module)
    except Exception as error:
        raise UsageError(f"{named} cannot be found: {error}") from error
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"{named} is not there")
    return Path(spec.submodule_search_locations[0])


def fault(member: Member) -> str:
    """Why an entry point brings no definitions; an empty string when it does."""
    try:
        found = folder(member)
    except UsageError as error:
        return str(error)
    return "" if any(found.glob("*.toml")) else f"there is no TOML file in {found}"

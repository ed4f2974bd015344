"""Evals named with options: `NAME,key=value,...`, each a protocol of its own under its whole name.

A dataset that grows by releases takes `release`, `since` and `until`; what `ENVIRONMENT:THING` takes, the
environment says.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from localrl.errors import UsageError, nearest
from localrl.evals.data import Window

if TYPE_CHECKING:
    from localrl.evals.spec import EvalSpec

Options = dict[str, Any]


def split(name: str) -> tuple[str, Options]:
    """`a,b=1,c=[1,2]` -> `("a", {"b": 1, "c": [1, 2]})`; values are TOML values, or else text.

    Raises:
        UsageError: an option is no `key=value`, or comes twice.
    """
    base, *parts = re.split(r",(?![^\[{]*[\]}])", name)
    options: Options = {}
    for part in parts:
        key, equals, value = part.partition("=")
        key = key.strip()
        if not equals or not key or key in options:
            raise UsageError(f"eval {name!r}: {part!r} is not one key=value", hint="write NAME,key=value,...")
        options[key] = _value(value.strip())
    return base.strip(), options


def window(spec: EvalSpec, name: str, options: Options) -> EvalSpec:
    """The eval over another release or another span of days; what is not named is not bounded.

    Raises:
        UsageError: the eval has no releases, or an option is unknown or malformed.
    """
    known = ["release", "since", "until"] if spec.data.window else []
    for key in options:
        if key not in known:
            raise UsageError(f"eval {spec.name!r} takes no option {key!r}", hint=nearest(key, known))
    assert spec.data.window is not None
    chosen = {key: value if key == "release" else str(value) for key, value in options.items()}
    if isinstance(release := chosen.get("release"), str):
        chosen["release"] = release.removeprefix("release_").removeprefix("v")
    try:
        taken = Window.model_validate({"column": spec.data.window.column, **chosen})
    except ValidationError as error:
        raise refused(name, error) from error
    return spec.model_copy(
        update={
            "name": name,
            "data": spec.data.model_copy(update={"window": taken, "size": None}),
            "published": [],
        }
    )


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def refused(name: str, error: ValidationError) -> UsageError:
    """What pydantic says of an option, in one line."""
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "string_pattern_mismatch":
        return UsageError(f"eval {name!r}: {key} is no day", hint="write it as YYYY-MM-DD")
    return UsageError(f"eval {name!r}: {key}: {first['msg']}")

"""Read a TOML file into a strict pydantic model; a mistake is reported with file, line and nearest key."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from localrl.errors import ConfigError, UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails


class Strict(BaseModel):
    """A frozen value that accepts no key it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def known_keys(cls) -> Iterable[str]:
        """The keys that it knows, for hints."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @classmethod
    def type_of(cls, key: str) -> Any:
        """The type of a key's value, for hints; None for a key that it does not know."""
        field = cls.model_fields.get(key)
        return field.annotation if field else None


M = TypeVar("M", bound=BaseModel)


def load(path: Path, model: type[M]) -> M:
    """Parse and validate one file.

    Raises:
        UsageError: the file cannot be read.
        ConfigError: the TOML is malformed, a key is unknown, or a value is of the wrong kind.
    """
    try:
        text = source(path)
    except UnicodeDecodeError as error:
        raise ConfigError("is not a TOML text file (not UTF-8)", file=path) from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    return loads(text, model, path)


def source(path: Path) -> str:
    """A file's text, without the byte order mark that Windows' editors put before it.

    Raises:
        OSError, UnicodeDecodeError
    """
    return path.read_text(encoding="utf-8-sig")


def loads(text: str, model: type[M], path: Path) -> M:
    """The same for text already read; `path` is only named in errors."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, line = _split_position(str(error))
        raise ConfigError(message, file=path, line=line) from error
    try:
        return model.model_validate(data, context={"file": path})
    except ValidationError as error:
        # A mistyped key is also a missing one: name the key that is there to be mended.
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        raise ConfigError(
            _describe(first), file=path, line=line_of(text, first["loc"]), hint=_hint(first, model)
        ) from error


def line_of(text: str, location: Sequence[str | int]) -> int | None:
    """The line (from 1) on which a key path stands, following `[table]` and `[[array]]` headers.

    Falls back to the nearest enclosing key that is written down, so that a missing key points at its table.
    """
    wanted = tuple(str(part) for part in location)
    best: tuple[int, int] | None = None
    table: tuple[str, ...] = ()
    seen: dict[tuple[str, ...], int] = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if header := re.match(r"\[\[(.+?)\]\]", line):
            name = _within(seen, _keys(header[1]), last=False)
            seen[name] = seen.get(name, -1) + 1
            table = path = (*name, str(seen[name]))
        elif header := re.match(r"\[(.+?)\]", line):
            table = path = _within(seen, _keys(header[1]))
        elif entry := re.match(r"""((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"))*)\s*=""", line):
            path = table + _keys(entry[1])
        else:
            continue
        if path == wanted[: len(path)] and (best is None or len(path) > best[0]):
            best = (len(path), number)
    return best[1] if best else None


def _within(seen: dict[tuple[str, ...], int], keys: tuple[str, ...], last: bool = True) -> tuple[str, ...]:
    """A header's keys with the numbers of the arrays' elements that it continues."""
    path: tuple[str, ...] = ()
    for number, key in enumerate(keys, start=1):
        path = (*path, key)
        if path in seen and (last or number < len(keys)):
            path = (*path, str(seen[path]))
    return path


def _keys(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in re.findall(r'"[^"]*"|\'[^\']*\'|[^.]+', dotted))


def _split_position(message: str) -> tuple[str, int | None]:
    found = re.search(r"\s*\(at line (\d+), column \d+\)", message)
    if not found:
        return message, None
    return message[: found.start()], int(found[1])


def _describe(error: ErrorDetails) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown key {key!r}"
    if error["type"] == "missing":
        return f"missing key {key!r}"
    return f"{key!r}: {error['msg'].removeprefix('Value error, ')}" if key else error["msg"]


def _hint(error: ErrorDetails, model: type[BaseModel]) -> str:
    if error["type"] != "extra_forbidden":
        return ""
    owner = _owner(model, error["loc"][:-1])
    return nearest(str(error["loc"][-1]), owner.known_keys()) if owner else ""


def _owner(annotation: Any, location: Sequence[str | int]) -> type[Strict] | None:
    """The model class that a key path leads into, looking through lists, dicts and unions."""
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        if not location:
            return annotation
        inner = annotation.type_of(str(location[0]))
        return _owner(annotation if inner is None else inner, location[1:])
    arguments = getattr(annotation, "__args__", ())
    for argument in arguments:
        for rest in (location, location[1:]):
            if (found := _owner(argument, rest)) is not None:
                return found
    return None

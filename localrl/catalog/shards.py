"""Models that come in several files, such as `NAME-00001-of-00003.gguf`."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from localrl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

SHARD = re.compile(r"(?P<stem>.*)-(?P<no>\d{5})-of-(?P<count>\d{5})\.(?P<end>gguf|safetensors)")


def number(name: str) -> int:
    """Which shard of a model a file is, from 1."""
    found = SHARD.fullmatch(name)
    return int(found["no"]) if found else 1


def pattern(path: str) -> str:
    """A pattern for all shards of a file."""
    return re.sub(r"-\d{5}-of-(\d{5})\.", r"-?????-of-\1.", path)


def groups(paths: Iterable[str]) -> list[tuple[int, list[str]]]:
    """Files by the model that they are of: how many there should be, and those given, in order."""
    found: dict[str, list[str]] = {}
    for path in sorted(paths):
        found.setdefault(pattern(path) if SHARD.fullmatch(path) else path, []).append(path)
    return [(int(shard["count"]) if (shard := SHARD.fullmatch(p[0])) else 1, p) for p in found.values()]


def is_extra(path: str) -> bool:
    """Image projectors and importance matrices are no language models."""
    name = PurePosixPath(path).name.lower()
    return "mmproj" in name or name.startswith("imatrix") or name.endswith("imatrix.gguf")


def files(path: Path) -> list[Path]:
    """The files of a model, given its first one.

    Raises:
        UsageError: the path is a later shard, or one is missing.
    """
    found = SHARD.fullmatch(path.name)
    if not found or int(found["count"]) < 2:
        return [path]
    count = int(found["count"])
    paths = [
        path.with_name(f"{found['stem']}-{no:05}-of-{count:05}.{found['end']}") for no in range(1, count + 1)
    ]
    if path != paths[0]:
        raise UsageError(f"{path.name} is not the model's first part", hint=f"name {paths[0].name} instead")
    if missing := [part.name for part in paths if not part.is_file()]:
        raise UsageError(
            f"{len(missing)} of the model's {count} parts are missing, the first is {missing[0]}"
        )
    return paths

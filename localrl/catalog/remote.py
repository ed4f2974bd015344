"""What a model on a hub is, without downloading it: its GGUF header by byte ranges, or its `config.json`."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from localrl.catalog import gguf, gguf_checks, hub, shape
from localrl.catalog.web import BROKEN, Web, describe
from localrl.errors import NetworkError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.catalog.pull import PullPlan
    from localrl.catalog.transfer import RemoteFile

AT_A_TIME = 4 << 20
"""A header with a large vocabulary is 6 to 10 MB; most of it comes in two or three requests."""
ATTEMPTS = 4
LARGEST_TEXT = 16 << 20
LARGEST_HEADER = 256 << 20


class RemoteHeader:
    """The beginning of a file on a hub as a `gguf.Source`; what was fetched is kept."""

    def __init__(self, remote: RemoteFile) -> None:
        self.name, self.size = remote.path.rsplit("/", 1)[-1], remote.size
        self._remote, self._head = remote, b""

    def read(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        if end > LARGEST_HEADER:
            raise UsageError(f"{self.name} has a header of more than {LARGEST_HEADER >> 20} MiB")
        while len(self._head) < end:
            have = len(self._head)
            self._head += fetch(self._remote, have, min(AT_A_TIME, self.size - have))
        return self._head[offset:end]

    def skeleton(self, folder: Path, length: int) -> Path:
        """A file with the real header and size, and holes for the weights: it takes no space."""
        path = folder / self.name
        with path.open("wb") as file:
            file.write(self.read(0, length))
            file.truncate(self.size)
        return path


def fetch(remote: RemoteFile, offset: int, length: int) -> bytes:
    """Some bytes of a file on a hub.

    Raises:
        NetworkError: they do not come.
        UsageError: a token is needed.
    """
    if length <= 0:
        return b""
    last, web = "", Web(connections=1)
    with contextlib.closing(web):
        for _ in range(ATTEMPTS):
            try:
                found = _once(web, remote, offset, length)
            except BROKEN as error:
                last = describe(error)
                continue
            if isinstance(found, bytes):
                return found
            last = f"the server answered {found}"
    raise NetworkError(f"{remote.path}: {last}", hint="try again")


def _once(web: Web, remote: RemoteFile, offset: int, length: int) -> bytes | int:
    """The bytes, or the status of an answer that does not hold them."""
    wanted = f"bytes={offset}-{offset + length - 1}"
    response, _ = web.get(remote.url, home=remote.url, token=hub.token(), wanted=wanted)
    try:
        if response.status in (401, 403):
            raise UsageError(f"{remote.path} is not open to everyone", hint="set HF_TOKEN")
        if response.status == 206 or (response.status == 200 and offset == 0):
            found: bytes = response.read(length)
            return found if len(found) == length else 0
        return response.status
    finally:
        response.close()


def shape_of(plan: PullPlan, folder: Path | None = None) -> tuple[shape.Shape, Path | None]:
    """The shape of what a plan would download, and a copy without weights of it in `folder` to plan with.

    Raises:
        NetworkError: the hub does not answer.
        UsageError: the files describe no language model.
    """
    sources = [RemoteHeader(file) for file in plan.files if file.path.endswith(".gguf")]
    if not sources:
        return _from_config(plan), None
    sources.sort(key=lambda source: source.name)
    parts = [gguf.read_header(source) for source in sources]
    header = gguf_checks.check_shards(parts)
    gguf_checks.check_model(header)
    paths: list[Path] = []
    if folder:
        paths = [
            source.skeleton(folder, part.header_bytes) for source, part in zip(sources, parts, strict=True)
        ]
    return shape.from_header(header), paths[0] if paths else None


def _from_config(plan: PullPlan) -> shape.Shape:
    config = next((file for file in plan.files if file.path == "config.json"), None)
    if config is None or config.size > LARGEST_TEXT:
        raise UsageError(f"{plan.listing.repo} has no config.json")
    try:
        described = json.loads(fetch(config, 0, config.size))
    except ValueError as error:
        raise UsageError(f"{plan.listing.repo}: config.json is not JSON") from error
    weights = sum(file.size for file in plan.files if file.path.endswith(".safetensors"))
    return shape.from_config(plan.listing.repo, described, weights)

"""The hub's cache on this machine, laid out as huggingface-hub expects it, so that other programs share it.

models--OWNER--NAME/blobs/ETAG holds the bytes, snapshots/COMMIT/FILE links to them, refs/main names a commit.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from localrl import paths
from localrl.catalog import journal
from localrl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

WANTED = (".gguf", ".safetensors", ".json", ".jinja")
"""Weights that hold no code, and what describes them; nothing else is ever downloaded."""
REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True, slots=True)
class CachedFile:
    """One file of a repo that is complete on this machine."""

    repo: str
    path: str
    """Inside the repo."""
    file: Path
    """The link in the snapshot."""

    @property
    def bytes(self) -> int:
        return self.file.stat().st_size

    @property
    def etag(self) -> str:
        return self.file.resolve().name


@dataclass(frozen=True, slots=True)
class PartialFile:
    """A file of a repo whose download was interrupted."""

    path: str
    """Inside the repo; empty where nobody knows any more."""
    file: Path

    @property
    def bytes(self) -> int:
        """What it takes of the disk: the file has holes."""
        return self.file.stat().st_blocks * 512


def root() -> Path:
    """HF_HUB_CACHE, or `hub` under HF_HOME, or the usual place; `~`, `$VAR` as huggingface-hub has them."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{cache}/huggingface"
    return Path(os.path.expandvars(Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()))


def is_repo(name: str) -> bool:
    return bool(REPO.fullmatch(name)) and ".." not in name


def folder(repo: str) -> Path:
    return root() / f"models--{repo.replace('/', '--')}"


def blob(repo: str, etag: str) -> Path:
    return folder(repo) / "blobs" / etag


def partial(repo: str, etag: str) -> Path:
    """Where a file grows; a name of our own, as huggingface-hub removes its unfinished ones."""
    return folder(repo) / "blobs" / f"{etag}.localrl-part"


def check_inside(repo: str, path: Path) -> None:
    """Refuse a path that a link leads out of the repo's folder.

    Raises:
        UsageError: it does.
    """
    if not path.resolve().is_relative_to(folder(repo).resolve()):
        raise UsageError(f"{path} leads out of the hub's cache", hint="remove the link, then pull again")


def snapshots(repo: str) -> list[Path]:
    """The folders of all commits of which something is here; the one that `main` was last comes first."""
    try:
        main = (folder(repo) / "refs" / "main").read_text().strip()
    except OSError:
        main = ""
    every = folder(repo) / "snapshots"
    found = [path for path in every.iterdir() if path.is_dir()] if every.is_dir() else []
    return sorted(found, key=lambda path: (path.name != main, -path.stat().st_mtime, path.name))


def files_of(repo: str, snapshot: Path) -> dict[str, CachedFile]:
    """The complete files of one commit, by their path in the repo."""
    found = [entry for entry in sorted(snapshot.rglob("*")) if entry.is_file()]
    return {
        (path := entry.relative_to(snapshot).as_posix()): CachedFile(repo, path, entry) for entry in found
    }


def files(repo: str) -> list[CachedFile]:
    """The complete files of a repo, of every commit."""
    return [entry for snapshot in snapshots(repo) for entry in files_of(repo, snapshot).values()]


def repos() -> list[str]:
    """Every model repo of which something is here."""
    found = sorted(root().glob("models--*")) if root().is_dir() else []
    return [path.name.removeprefix("models--").replace("--", "/", 1) for path in found]


def matches(path: str, pattern: str) -> bool:
    """Whether a repo's file is meant: by whole path, or by its last part; case does not matter."""
    path, pattern = path.lower(), pattern.lower()
    return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(PurePosixPath(path).name, pattern)


def link(repo: str, commit: str, path: str, etag: str) -> Path:
    """Give a complete blob its name in a snapshot."""
    link = folder(repo) / "snapshots" / commit / path
    check_inside(repo, link.parent)
    link.parent.mkdir(parents=True, exist_ok=True)
    target = os.path.relpath(blob(repo, etag), link.parent)
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    try:
        fresh.symlink_to(target)
    except OSError:  # a file system without links: huggingface-hub then keeps the file itself here
        shutil.copyfile(blob(repo, etag), fresh)
    fresh.replace(link)
    return link


def check_name(repo: str, path: str) -> None:
    """Refuse a file name that would leave the snapshot.

    Raises:
        UsageError: it would.
    """
    parts = PurePosixPath(path).parts
    leaves = path.startswith("/") or ".." in parts or "\\" in path or ":" in path
    if not parts or leaves or not path.isprintable():
        raise UsageError(f"{repo} lists a file with the unsafe name {path!r}")


def set_main(repo: str, commit: str) -> None:
    """Remember which commit `main` is, as huggingface-hub does."""
    reference = folder(repo) / "refs" / "main"
    check_inside(repo, reference.parent)
    if reference.is_file() and not reference.is_symlink() and reference.read_text() == commit:
        return
    reference.parent.mkdir(parents=True, exist_ok=True)
    fresh = reference.with_name(".main.new")
    with os.fdopen(paths.open_no_follow(fresh, os.O_WRONLY | os.O_TRUNC), "w") as file:
        file.write(commit)
    fresh.replace(reference)


def remove(repo: str, chosen: Iterable[CachedFile]) -> int:
    """Remove files of a repo, with their blobs where nothing else links to them; returns the bytes freed.

    What a link leads to outside the repo is somebody else's, and stays.
    """
    freed = 0
    ours = folder(repo).resolve()
    for cached in chosen:
        target = cached.file.resolve()
        cached.file.unlink()
        if target.is_relative_to(ours) and target.exists() and not _linked(repo, target):
            freed += target.stat().st_size
            target.unlink()
    return freed + _remove_empty(repo)


def _remove_empty(repo: str) -> int:
    """Remove a repo's folder when nothing can be used of it any more; returns the bytes freed."""
    links = (folder(repo) / "snapshots").rglob("*")
    if partials(repo) or any(entry.is_file() or entry.is_symlink() for entry in links):
        return 0
    freed = sum(path.stat().st_blocks * 512 for path in (folder(repo) / "blobs").glob("*"))
    shutil.rmtree(folder(repo), ignore_errors=True)
    return freed


def partials(repo: str) -> list[PartialFile]:
    """The interrupted downloads of a repo."""
    found = sorted((folder(repo) / "blobs").glob("*.localrl-part"))
    return [PartialFile(journal.path_of(partial), partial) for partial in found]


def remove_partials(repo: str, chosen: Iterable[PartialFile]) -> int:
    """Forget interrupted downloads; returns the bytes freed."""
    freed = 0
    for part in chosen:
        for path in part.file.parent.glob(f"{part.file.name}*"):
            freed += path.stat().st_blocks * 512
            path.unlink()
    return freed + _remove_empty(repo)


def _linked(repo: str, target: Path) -> bool:
    links = (folder(repo) / "snapshots").rglob("*")
    return any(link.is_symlink() and link.resolve() == target for link in links)

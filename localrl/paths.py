"""Where localrl keeps things. `LOCALRL_HOME` puts config, data, state and cache under one folder."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, get_args

from localrl.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["config", "data", "state", "cache"]


def home(kind: Kind) -> Path:
    """The folder for one kind of file; it may not exist yet."""
    if root := os.environ.get("LOCALRL_HOME"):
        return Path(root).expanduser() / kind
    import platformdirs

    dirs = platformdirs.PlatformDirs("localrl", appauthor=False)
    return Path(getattr(dirs, f"user_{kind}_dir"))


def ensure(folder: Path) -> Path:
    """Make a folder that localrl writes to; only its owner may look into those of localrl's own.

    Raises:
        StoreError: the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for ours in map(home, get_args(Kind)):
            if folder.is_relative_to(ours) and ours.stat().st_mode & 0o077:
                ours.chmod(0o700)
    except OSError as error:
        raise StoreError(
            f"cannot create {folder}: {error.strerror}", hint="set LOCALRL_HOME to a folder you can write to"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(f"cannot write to {folder}", hint="set LOCALRL_HOME to a folder you can write to")
    return folder


def private(path: Path) -> Path:
    """A file that only its owner may read, whatever the umask: it holds what was said and done.

    Raises:
        OSError: it cannot be made.
    """
    # A file that is there is not opened: closing it would drop every lock that this process holds on it
    # (sqlite.org/howtocorrupt.html, 2.2), and another process would take the store's log for abandoned.
    with contextlib.suppress(FileExistsError, PermissionError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with contextlib.suppress(PermissionError):  # somebody else's
        path.chmod(0o600)
    return path


def open_no_follow(path: Path, flags: int) -> int:
    """A file opened for writing in a folder that others write to; a link in its place is not followed.

    Raises:
        OSError: as `os.open`.
    """
    return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name only after everything was written.

    Raises:
        StoreError: the folder or the disk does not let it be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as out:
            yield out
        part.replace(path)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror}", hint="choose another place with -o"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def without_home(value: Any) -> Any:
    """JSON values as they are shared: `~` in the place of the home folder, which tells a person's name."""
    home = re.escape(str(Path.home()))
    # not in a longer name, nor below another folder; a home that is no folder of its own tells nothing
    found = re.compile(rf"(?<![\w.~/-]){home}(?![\w.-])") if home != "/" else re.compile("(?!)")

    def shortened(value: Any) -> Any:
        if isinstance(value, str):
            return found.sub("~", value)
        if isinstance(value, dict):
            return {key: shortened(item) for key, item in value.items()}
        return [shortened(item) for item in value] if isinstance(value, list | tuple) else value

    return shortened(value)


def existing_parent(path: Path | str) -> Path:
    """The path itself, or the nearest folder above it that is there."""
    place = Path(path)
    while not place.exists():
        place = place.parent
    return place


def shipped(kind: Literal["models", "evals", "recipes"]) -> Path:
    """The TOML files that come with localrl: inside a wheel, or beside the package in a checkout."""
    package = Path(__file__).parent
    inside = package / "_data" / kind
    return inside if inside.is_dir() else package.parent / kind

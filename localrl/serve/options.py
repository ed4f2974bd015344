"""How a server is set up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localrl.chat import ThinkingControl
from localrl.errors import UsageError
from localrl.serve.guard import is_loopback

if TYPE_CHECKING:
    from pathlib import Path

LEAST_KEY = 8
"""Characters of a key."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """
    Raises (when made):
        UsageError: strangers could use it.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    """0 takes a free one."""
    key: str = field(default="", repr=False)
    allowed_hosts: tuple[str, ...] = ()
    """Names that a request's Host may have besides this machine's own."""
    origins: tuple[str, ...] = ()
    """Web pages that may read the answers."""
    most_waiting: int = 256
    idle_unload_s: float | None = None
    on_demand: bool = False
    """Load the model with the first request."""
    control: ThinkingControl = field(default_factory=ThinkingControl)
    """How long the model thinks where a request does not say."""

    def __post_init__(self) -> None:
        if not self.key and not is_loopback(self.host):
            raise UsageError(
                f"{self.host} can be reached by others", hint="give a key with --api-key-file, or 127.0.0.1"
            )


def read_key(path: Path) -> str:
    """
    Raises:
        UsageError: the file holds no key.
    """
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the key in {path}: {error}") from error
    if len(key) < LEAST_KEY or not (key.isascii() and key.isprintable()) or " " in key:
        raise UsageError(
            f"{path} holds no key of {LEAST_KEY} characters or more",
            hint="make one: openssl rand -hex 24 > FILE",
        )
    return key

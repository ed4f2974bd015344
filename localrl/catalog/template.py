"""The chat template that a model's files hold: by it messages become a prompt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from localrl.catalog import gguf
from localrl.errors import LocalrlError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

ALONE = "chat_template.jinja"
IN_JSON = ("chat_template.json", "tokenizer_config.json")
"""Files of a model folder that may hold it, beside one of its own."""


def of_files(path: Path) -> str | None:
    """The template of a `.gguf` file or a model folder; empty if it has none, None if unread."""
    try:
        if path.is_file():
            return gguf.read_local(path).chat_template
        if not path.is_dir():
            return None
        if (path / ALONE).is_file():
            return (path / ALONE).read_text()
        held = [json.loads((path / name).read_bytes()) for name in IN_JSON if (path / name).is_file()]
        return next((text for one in held if (text := default(one.get("chat_template")))), "")
    except (LocalrlError, OSError, ValueError, AttributeError):
        return None


def read(path: Path) -> str:
    """A template from a file of its own.

    Raises:
        UsageError: it cannot be read, or holds nothing.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"cannot read the chat template {path}: {why}") from error
    if not text.strip():
        raise UsageError(f"the chat template {path} is empty")
    return text


def default(given: Any) -> str:
    """The template to take: of several named ones the default; empty where there is none."""
    if isinstance(given, list):  # as tokenizer_config.json names them
        given = {one.get("name"): one.get("template") for one in given if isinstance(one, dict)}
    if isinstance(given, dict):
        given = given.get("default")
    return given if isinstance(given, str) else ""

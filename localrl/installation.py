"""How localrl was installed, so that what it says to type is right: from an index, a clone, pipx or uv."""

from __future__ import annotations

import json
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from shlex import quote
from urllib.parse import unquote, urlsplit


def extra(name: str) -> str:
    """The command that installs one of localrl's extras where this localrl is."""
    return _command(_clone(), Path(sys.prefix).parts, name)


def _command(clone: str, prefix: tuple[str, ...], name: str) -> str:
    package = f"{clone or 'localrl'}[{name}]"
    if "pipx" in prefix:
        return f"pipx install --force {'--editable ' if clone else ''}{quote(package)}"
    if prefix[-3:-1] == ("uv", "tools"):
        return f"uv tool install {'--editable ' if clone else ''}{quote(package)}"
    python = quote(f"{Path(*prefix) / 'bin' / 'python'}") + " -m " if sys.prefix != sys.base_prefix else ""
    return f"{python}pip install {'-e ' if clone else ''}{quote(package)}"


@cache
def _clone() -> str:
    """The folder that an editable installation reads; empty where localrl came from an index or a wheel."""
    try:
        said = json.loads(distribution("localrl").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return ""
    editable = said.get("dir_info", {}).get("editable", False)
    return unquote(urlsplit(said.get("url", "")).path) if editable else ""

"""What a person writes about servers: headers, and more fields of every request."""

from __future__ import annotations

import re
from typing import Any

from localrl import jsontext

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OWN_HEADERS = {
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
}
_OWN_FIELDS = {
    "model",
    "messages",
    "prompt",
    "stream",
    "stream_options",
    "n",
    "seed",
    "stop",
    "ignore_eos",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "max_tokens",
}


def header(text: str) -> tuple[str, str]:
    """Name and value of `NAME:VALUE`.

    Raises:
        ValueError: it is none that may be sent; does not say what it is, which may be secret.
    """
    name, colon, value = text.partition(":")
    name, value = name.strip(), value.strip()
    if not (colon and _HEADER.fullmatch(name) and value and value.isascii() and value.isprintable()):
        raise ValueError("not NAME:VALUE")
    if name.lower() in _OWN_HEADERS:
        raise ValueError(f"{name} is set by localrl")
    return name, value


def extra_body(text: str) -> dict[str, Any]:
    """A JSON object of fields that localrl does not set itself.

    Raises:
        ValueError: it is none.
    """
    try:
        found = jsontext.loads(text.encode())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    if own := sorted(_OWN_FIELDS & found.keys()):
        raise ValueError(f"{own[0]!r} is set by localrl, by the settings of the sampling")
    return found

"""The address of a server, as a person may give it and as it may be stored."""

from __future__ import annotations

from urllib.parse import urlsplit

from localrl.errors import UsageError


def checked(url: str) -> str:
    """A base URL without a trailing slash; `/v1` is added where there is no path.

    Raises:
        UsageError: it is no base URL, or holds what should not be stored.
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # no address in the brackets, no port behind the colon
        valid = False
    if not valid or any(character.isspace() or not character.isprintable() for character in url):
        raise UsageError(f"{url!r} is no endpoint", hint="write it like http://host:8000/v1")
    if parts.username or parts.password or parts.query:
        raise UsageError(
            f"the endpoint at {parts.hostname} carries a key in its URL",
            hint="put the key into LOCALRL_API_KEY instead",
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}"

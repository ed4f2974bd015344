"""Ranges of files over HTTP: redirects followed, the token kept from other origins, proxies honoured.

urllib3 and not httpx, because at the speed of downloads httpx spends fifteen times as much of the processor
(measured: 0.8 s against 0.05 s a gigabyte), which two cores that also hash do not have.
"""

from __future__ import annotations

import email.utils
import os
import time
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from localrl.errors import NetworkError, UsageError

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse

REDIRECTS = (301, 302, 303, 307, 308)
BROKEN = HTTPError
"""What a failed connection raises: refused, timed out, cut short, or an address that is none."""
AGENT = "localrl"


class Web:
    """Connections that are used again; may be shared by threads."""

    def __init__(self, *, connections: int = 4, stall_s: float = 30.0) -> None:
        self._size = connections
        self._timeout = urllib3.Timeout(connect=min(30.0, stall_s), read=stall_s)
        self._managers: dict[str, urllib3.PoolManager] = {}

    def get(self, url: str, *, home: str, token: str = "", wanted: str = "") -> tuple[BaseHTTPResponse, str]:
        """Ask for a file or a range of it (`bytes=0-99`).

        Args:
            url: where to ask first.
            home: the hub's own address: only its origin is told the token.

        Returns:
            The response, its body unread, and the address that it came from.

        Raises:
            NetworkError: a redirect leaves https, or there are too many.
            HTTPError: the connection failed.
        """
        for _ in range(6):
            headers = {"Accept-Encoding": "identity", "User-Agent": AGENT}
            if wanted:
                headers["Range"] = wanted
            if token and origin(url) == origin(home):
                headers["Authorization"] = f"Bearer {token}"
            response = self._manager(url).request(
                "GET",
                url,
                headers=headers,
                preload_content=False,
                redirect=False,
                retries=False,
                timeout=self._timeout,
            )
            if response.status not in REDIRECTS:
                return response, url
            response.close()
            target = urljoin(url, response.headers.get("location", ""))
            if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
                raise NetworkError(f"redirected from https to {origin(target)}")
            url = target
        raise NetworkError(f"{origin(url)} redirects again and again")

    def close(self) -> None:
        for manager in self._managers.values():
            manager.clear()

    def _manager(self, url: str) -> urllib3.PoolManager:
        """Connections straight to the server, or through the proxy that the environment names for it."""
        parts = urlsplit(url)
        proxies = urllib.request.getproxies()
        proxy = proxies.get(parts.scheme, proxies.get("all", ""))
        if urllib.request.proxy_bypass(parts.hostname or ""):
            proxy = ""
        elif proxy and "://" not in proxy:
            proxy = f"http://{proxy}"
        if proxy not in self._managers:
            self._managers[proxy] = (
                urllib3.ProxyManager(proxy, maxsize=self._size, ca_certs=_certificates())
                if proxy
                else urllib3.PoolManager(maxsize=self._size, ca_certs=_certificates())
            )
        return self._managers[proxy]


def _certificates() -> str:
    if chosen := os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE"):
        return chosen
    import certifi

    return certifi.where()


def check_proxies() -> None:
    """Refuse proxies that speak something else than HTTP.

    Raises:
        UsageError: names the variable.
    """
    for name, proxy in urllib.request.getproxies().items():
        if name in ("http", "https", "all") and proxy.startswith("socks"):
            raise UsageError(
                f"{name.upper()}_PROXY names a SOCKS proxy, which localrl does not speak",
                hint="name an http:// proxy, or unset it",
            )


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def retry_after(value: str) -> float:
    """Seconds from a Retry-After header: a number or a date; 0 if it says nothing."""
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def describe(error: Exception) -> str:
    """A failed connection in a few words."""
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "nothing arrived in time"
    return str(error) or type(error).__name__

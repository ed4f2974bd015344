"""What a hub holds: the files of a repo with their hashes, and repos that match some words.

Hugging Face's hub, or a mirror of it (HF_ENDPOINT), through huggingface-hub's API; ModelScope as a second
source through its own. Both list a SHA-256 for each large file, so it does not matter who sends the bytes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import time
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import quote, urlsplit

from localrl.catalog import hubcache
from localrl.catalog.transfer import RemoteFile
from localrl.catalog.web import BROKEN, Web, check_proxies, retry_after
from localrl.errors import NetworkError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

HubName = Literal["huggingface", "modelscope"]
ATTEMPTS = 5
LONGEST_WAIT_S = 60.0
REACH_S = 10.0
LARGEST_LISTING = 16 << 20
LARGEST_NUMBER = 1 << 60

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a repo at one commit, those that localrl may download."""

    repo: str
    commit: str
    files: tuple[RemoteFile, ...]
    gated: bool = False


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One result of a search."""

    repo: str
    downloads: int
    likes: int


def endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def modelscope_endpoint() -> str:
    return (os.environ.get("MODELSCOPE_ENDPOINT") or "https://modelscope.cn").rstrip("/")


def token() -> str:
    """HF_TOKEN, or that of `hf auth login`; empty where there is none."""
    if found := os.environ.get("HF_TOKEN", "").strip():
        return found
    from huggingface_hub import get_token

    return get_token() or ""


def offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def listing(repo: str, *, source: HubName = "huggingface", revision: str = "main") -> Listing:
    """The files of a repo.

    Raises:
        UsageError: there is no such repo, it needs a token, or HF_HUB_OFFLINE is set.
        NetworkError: the hub does not answer.
    """
    _check_online()
    if not hubcache.is_repo(repo):
        raise UsageError(f"{repo!r} is no hub repo", hint="write OWNER/NAME")
    return _modelscope(repo) if source == "modelscope" else _huggingface(repo, revision)


def search(words: str, limit: int = 20) -> list[SearchResult]:
    """Repos with GGUF files that match, most downloaded first.

    Raises:
        UsageError: HF_HUB_OFFLINE is set.
        NetworkError: the hub does not answer.
    """
    _check_online()
    _check_reachable()
    from huggingface_hub import HfApi

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it would tell of every attempt
    api = HfApi(endpoint=endpoint(), token=token() or False)

    def ask() -> list[SearchResult]:
        found = api.list_models(search=words, filter="gguf", sort="downloads", limit=limit)
        return [SearchResult(_text(m.id), _number(m.downloads or 0), _number(m.likes or 0)) for m in found]

    return _patiently(ask, f"search for {words!r}")


def _check_reachable() -> None:
    """Fail at once where nobody answers: huggingface-hub itself tries for minutes.

    Raises:
        NetworkError: the hub's address does not answer.
    """
    place = urlsplit(endpoint())
    if place.scheme in urllib.request.getproxies():
        return
    port = place.port or (443 if place.scheme == "https" else 80)
    try:
        socket.create_connection((place.hostname or "", port), timeout=REACH_S).close()
    except OSError as error:
        hint = "check the connection, or HF_ENDPOINT, and try again"
        raise NetworkError(f"{endpoint()} cannot be reached: {error.strerror or error}", hint=hint) from error


def _check_online() -> None:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if offline():
        raise UsageError("HF_HUB_OFFLINE is set", hint="unset it to use the hub")
    check_proxies()


def _huggingface(repo: str, revision: str) -> Listing:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint(), token=token() or False)

    def ask() -> Listing:
        info = api.model_info(repo, revision=revision, files_metadata=True)
        commit = _text(info.sha or "")
        if len(commit) != 40 or not _is_hash(commit):
            raise NetworkError(f"the hub names no commit of {repo}")
        base = f"{endpoint()}/{repo}/resolve/{commit}"
        files = []
        for sibling in info.siblings or []:
            path = _text(sibling.rfilename)
            if not path.endswith(hubcache.WANTED):
                continue
            url = f"{base}/{quote(path)}"
            etag, size = (sibling.lfs.sha256 if sibling.lfs else sibling.blob_id), sibling.size
            if not etag or size is None:
                etag, size = _head(url, path)
            if _is_hash(_text(etag)):
                files.append(RemoteFile(url, path, _number(size), etag, etag if len(etag) == 64 else ""))
        return Listing(repo, commit, tuple(files), gated=bool(info.gated))

    return _patiently(ask, repo)


def _head(url: str, path: str) -> tuple[str, int]:
    """The hash and size of one file: mirrors may list names alone, as huggingface-hub needs no more."""
    from huggingface_hub import get_hf_file_metadata

    found = _patiently(lambda: get_hf_file_metadata(url, token=token() or False, endpoint=endpoint()), path)
    return found.etag or "", found.size or 0


def _modelscope(repo: str) -> Listing:
    address = f"{modelscope_endpoint()}/api/v1/models/{repo}/repo/files?Revision=master&Recursive=true"

    def ask() -> Listing:
        files, commit = [], ""
        for entry in (_json(address).get("Data") or {}).get("Files") or []:
            path, sha256, revision = (_text(entry.get(key) or "") for key in ("Path", "Sha256", "Revision"))
            if entry.get("Type") == "tree" or not path.endswith(hubcache.WANTED) or not _is_hash(sha256):
                continue
            commit = commit or revision
            url = f"{modelscope_endpoint()}/models/{repo}/resolve/{quote(revision or 'master')}/{quote(path)}"
            files.append(RemoteFile(url, path, _number(entry.get("Size") or 0), sha256, sha256))
        if not files:
            raise UsageError(f"ModelScope lists no model files of {repo}")
        return Listing(repo, commit if _is_hash(commit) else "0" * 40, tuple(files))

    return _patiently(ask, repo)


def _json(address: str) -> Any:
    with contextlib.closing(Web(connections=1)) as web:
        answer, _ = web.get(address, home=address)
        try:
            if answer.status != 200:
                raise HubRefused(answer.status, retry_after(answer.headers.get("retry-after", "")))
            return json.loads(answer.read(LARGEST_LISTING))
        finally:
            answer.close()


def _refusal(error: Any) -> tuple[int, float]:
    """The status of an answer, and how many seconds it asks to wait."""
    if isinstance(error, HubRefused):
        return error.status, error.wait_s
    if error.response is None:
        return 0, 0.0
    return error.response.status_code, retry_after(error.response.headers.get("retry-after", ""))


class HubRefused(Exception):
    """ModelScope answered with something else than the listing."""

    def __init__(self, status: int, wait_s: float) -> None:
        super().__init__(f"the hub answered {status}")
        self.status, self.wait_s = status, wait_s


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise TypeError(f"{given!r} is no text")
    return given


def _number(given: object) -> int:
    """How many bytes, downloads and so on."""
    if type(given) is not int or not 0 <= given < LARGEST_NUMBER:
        raise TypeError(f"{given!r} is no number of things")
    return given


def _is_hash(text: str) -> bool:
    return len(text) in (40, 64) and all(c in "0123456789abcdef" for c in text)


def _denied(what: str, status: int, said: str) -> UsageError:
    """What the hub refuses, in its own words where it has some."""
    words = " ".join(said.split())[:200]
    if status == 401 and token():
        hint = "set HF_TOKEN to a valid one, or unset it"
        return UsageError(f"the hub does not accept HF_TOKEN: {words or status}", hint=hint)
    hint = "check the name" if token() else "check the name, or set HF_TOKEN"
    return UsageError(f"{what}: {words or f'the hub answered {status}'}", hint=hint)


def _patiently(ask: Callable[[], T], what: str) -> T:
    """Ask again while the hub is busy or the connection fails, as long as it asks for, up to a minute.

    Args:
        ask: also reads the answer, so that one that is not as it should be is told as the hub's.
    """
    import httpx2
    from huggingface_hub import errors

    last = ""
    for attempt in range(ATTEMPTS):
        wait = 0.5 * 2**attempt
        try:
            return ask()
        except errors.GatedRepoError as error:
            hint = "accept its terms on its page, then set HF_TOKEN"
            raise UsageError(f"{what} is not open to everyone", hint=hint) from error
        except errors.RepositoryNotFoundError as error:
            hint = "check the spelling, or set HF_TOKEN if it is private"
            raise UsageError(f"the hub has no repo {what}", hint=hint) from error
        except (errors.HfHubHTTPError, HubRefused) as error:
            status, asked = _refusal(error)
            last = f"the hub answered {status}"
            if status in (401, 403, 404):
                raise _denied(what, status, getattr(error, "server_message", None) or "") from error
            if status not in (408, 425, 429) and status < 500:
                break
            if asked > LONGEST_WAIT_S:
                raise NetworkError(
                    f"the hub asks to wait {asked:.0f} s ({status})", hint="try again later"
                ) from error
            wait = max(wait, asked)
        except (AttributeError, LookupError, TypeError) as error:  # here or in huggingface-hub
            raise NetworkError(f"{what}: the answer is not the hub's", hint="check HF_ENDPOINT") from error
        except json.JSONDecodeError:
            last = "the answer is not the hub's, but perhaps a page to log in to the network"
        except (BROKEN, httpx2.HTTPError, OSError, ValueError) as error:
            last = " ".join(str(error).split())[:200] or type(error).__name__
        if attempt + 1 < ATTEMPTS:
            time.sleep(wait)
    raise NetworkError(f"{what}: {last}", hint="check the connection, or HF_ENDPOINT, and try again")

"""`localrl models verify`: hash what is on disk again, and walk the headers."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import click

from localrl.catalog import gguf, hashes, hubcache, reference, shards
from localrl.catalog.locate import locate
from localrl.cli import arguments
from localrl.cli.output import document, note
from localrl.errors import LocalrlError, UsageError
from localrl.formats import size

if TYPE_CHECKING:
    from pathlib import Path


@click.command("verify")
@arguments.model("models", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(models: tuple[str, ...], as_json: bool) -> None:
    """Check MODELS, or everything in the hub's cache, against the hub's SHA-256; exits 1 on damage."""
    files = _files(models)
    results = [_check(path, etag) for path, etag in files]
    if as_json:
        document({"files": results})
    else:
        for result in results:
            click.echo(f"{'ok     ' if result['ok'] else 'DAMAGED'}  {result['path']}  {result['detail']}")
        if not results:
            note("nothing to check")
    if damaged := [result for result in results if not result["ok"]]:
        raise LocalrlError(
            f"{len(damaged)} of {len(results)} files are damaged",
            hint="pull them again",
        )


def _files(models: tuple[str, ...]) -> list[tuple[Path, str]]:
    """Files with the hash that they are known by; empty where nobody said one."""
    if not models:
        every = [entry for repo in hubcache.repos() for entry in hubcache.files(repo)]
        return _once(every)
    found: list[tuple[Path, str]] = []
    for model in models:
        wanted = reference.parse(model)
        if wanted and hubcache.files(wanted.repo):
            found += _once(wanted.cached()[0])
        else:
            local = locate(model).path
            parts = shards.files(local) if local.is_file() else sorted(local.glob("*.safetensors"))
            found += [(part, "") for part in parts]
    return found


def _once(files: list[hubcache.CachedFile]) -> list[tuple[Path, str]]:
    """Several commits may hold the same bytes."""
    return [
        (entry.file, entry.etag)
        for entry in {entry.file.resolve(): entry for entry in reversed(files)}.values()
    ]


def _check(path: Path, etag: str) -> dict[str, Any]:
    result: dict[str, Any] = {"path": str(path), "bytes": path.stat().st_size, "sha256": "", "ok": True}
    result["detail"] = size(result["bytes"])
    if len(etag) == 64:
        result["sha256"] = hashes.of(
            path, again=True
        )  # what is damaged is then fetched again by the next pull
        result["ok"] = result["sha256"] == etag
    elif len(etag) == 40:
        result["ok"] = _git_hash(path) == etag
    if not result["ok"]:
        result["detail"] = "its hash is not the hub's"
    elif path.suffix == ".gguf" and shards.number(path.name) == 1:
        try:
            gguf.preflight(path)
        except UsageError as error:
            # The hub's own bytes are not damaged, even where they are no model: pulling again cannot help.
            result["ok"] = len(etag) == 64
            result["detail"] = str(error.args[0] if result["ok"] else error)
    return result


def _git_hash(path: Path) -> str:
    """What git, and so the hub, calls a small text file."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

"""`localrl models verify`: hash what is on disk again, and walk the headers."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import click

from localrl.catalog import choose, gguf, hubcache
from localrl.catalog.resolve import resolve
from localrl.cli.output import document, note, size
from localrl.errors import LocalrlError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@click.command("verify")
@click.argument("models", nargs=-1)
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
            hint="remove them with `localrl models rm`, and pull them again",
        )


def _files(models: tuple[str, ...]) -> list[tuple[Path, str]]:
    """Files with the hash that they are known by; empty where nobody said one."""
    if not models:
        every = [entry for repo in hubcache.repos() for entry in hubcache.files(repo)]
        return [(entry.file, entry.etag) for entry in every]
    found: list[tuple[Path, str]] = []
    for model in models:
        choice = choose.parse(model)
        cached = {entry.path: entry for entry in hubcache.files(choice.repo)} if choice else {}
        if choice and cached:
            found += [(cached[path].file, cached[path].etag) for path in choice.select(cached)]
        else:
            local = resolve(model).path
            parts = gguf.shard_paths(local) if local.is_file() else sorted(local.glob("*.safetensors"))
            found += [(part, "") for part in parts]
    return found


def _check(path: Path, etag: str) -> dict[str, Any]:
    result: dict[str, Any] = {"path": str(path), "bytes": path.stat().st_size, "sha256": "", "ok": True}
    if len(etag) == 64:
        result["sha256"] = _sha256(path)
        result["ok"] = result["sha256"] == etag
        result["detail"] = size(result["bytes"]) if result["ok"] else "its SHA-256 is not the hub's"
    else:
        result["detail"] = size(result["bytes"])
    if result["ok"] and path.suffix == ".gguf" and gguf.shard_number(path.name) == 1:
        try:
            gguf.preflight(path)
        except UsageError as error:
            result["ok"], result["detail"] = False, str(error)
    return result


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""`localrl models`: which models there are, which fit, and get them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from localrl import formats
from localrl.catalog import card as cards
from localrl.catalog import hubcache, inventory, reference
from localrl.catalog.locate import is_here, locate
from localrl.cli import arguments
from localrl.cli.lazy import LazyGroup
from localrl.cli.output import document, note, table
from localrl.definitions import definitions
from localrl.engine.prompts import NO_TEMPLATE
from localrl.errors import UsageError

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group("models", cls=LazyGroup)
def command() -> None:
    """Which models there are, which fit this machine, and get them."""


@command.command("ls")
@click.option("--here", is_flag=True, help="Only what is on this machine.")
@JSON
def list_models(here: bool, as_json: bool) -> None:
    """List the cards, and every model on this machine, whoever downloaded it."""
    on_disk = inventory.everything()
    readable, broken = cards.every()
    origins = definitions("models")
    listed = [_card_line(card, origins[name].origin) for name, card in readable.items()]
    files = [asdict(model) | {"path": str(model.path)} for model in on_disk]
    unfinished: list[dict[str, Any]] = [
        {"repo": repo, "path": partial.path, "bytes": partial.bytes}
        for repo in hubcache.repos()
        for partial in hubcache.partials(repo)
    ]
    for error in broken:
        note(f"localrl: {error}")
    if as_json:
        document({"cards": [] if here else listed, "files": files, "unfinished": unfinished})
        return
    if not here:
        table(
            ["card", "parameters", "licence", "here", "from", "can be pulled"],
            [
                [
                    line["name"],
                    _parameters(line["parameters"], line["active_parameters"]),
                    line["licence"],
                    "yes" if line["here"] else "",
                    line["from"],
                    ", ".join(line["quantisations"]),
                ]
                for line in listed
            ],
            right=(1,),
        )
    if files:
        rows = [
            [model.name, model.quantisation, formats.size(model.bytes), model.program] for model in on_disk
        ]
        table(["on this machine", "quantisation", "size", "held by"], rows, right=(2,))
    else:
        note("no downloaded model on this machine; get one with: localrl models pull MODEL")
    for partial in unfinished:
        note(
            f"unfinished: {partial['path']} of {partial['repo']}, {formats.size(partial['bytes'])} are here; "
            "go on with `localrl models pull`, or free them with `localrl models rm`"
        )


def _card_line(card: cards.Card, origin: str) -> dict[str, Any]:
    return {
        "name": card.name,
        "title": card.title,
        "parameters": card.parameters,
        "active_parameters": card.active_parameters,
        "licence": card.licence,
        "quantisations": card.quantisations("gguf") + card.quantisations("mlx"),
        "here": is_here(card.name),
        "from": origin,
    }


def _parameters(total: int, active: int | None) -> str:
    return formats.parameters(total) + (f", {formats.parameters(active)} active" if active else "")


@command.command("show")
@arguments.model()
@JSON
def show(model: str, as_json: bool) -> None:
    """Explain MODEL: a card, a file on this machine, or both."""
    described = _described(model)
    if as_json:
        document(described)
        return
    for line in _lines(described):
        click.echo(line)


def _described(model: str) -> dict[str, Any]:
    card = cards.load(model.partition(":")[0]) if model.partition(":")[0] in cards.available() else None
    result: dict[str, Any] = {"card": card.model_dump(exclude_none=True) if card else None, "file": None}
    if card and ":" in model:
        reference.parse(model)  # refuses a quantisation that the card does not have
    try:
        local = locate(model)
    except UsageError:
        if card is None:
            raise
        return result
    result["file"] = {"path": str(local.path), "quantisation": local.quantisation}
    if local.path.is_file():
        from localrl.catalog import gguf

        header = gguf.preflight(local.path)
        result["file"] |= {
            "bytes": header.file_bytes,
            "shards": header.shards,
            "architecture": header.architecture,
            "parameters": header.parameters,
            "quantisation": local.quantisation or header.quantisation,
            "context_length": header.context_length,
            "vocabulary": header.vocabulary,
            "chat_template": header.chat_template,
        }
    return result


def _lines(described: dict[str, Any]) -> list[str]:
    card, file = described["card"], described["file"]
    lines: list[str] = []
    if card:
        parameters = _parameters(card["parameters"], card.get("active_parameters"))
        lines += [
            f"{card['title']}  ({card['name']})",
            f"  {parameters} parameters, {card.get('licence', '')}",
        ]
        if shape := card.get("shape"):
            lines.append(
                f"  {shape['layers']} layers, {shape['kv_heads']} kv heads of {shape['head_size']}, "
                f"{shape['context']:,} tokens of context"
            )
        for backend in ("gguf", "mlx"):
            for name, entry in (card.get(backend) or {}).get("quantisations", {}).items():
                repo = entry.get("repo") or card[backend].get("repo")
                known = f", {formats.size(entry['bytes'])}" if "bytes" in entry else ""
                lines.append(f"  {card['name']}:{name}  from {repo}{known}")
        if card.get("sampling_source"):
            shown = ", ".join(f"{key} {value}" for key, value in card["sampling"].items())
            lines.append(f"  sampling: {shown}  [{card['sampling_source']}]")
        for score in card.get("published", []):
            kind = "" if score["metric"] == "accuracy" else f" ({score['metric']})"
            lines.append(
                f"  published {score['eval']}{kind}: {formats.percent(score['value'])}  [{score['source']}]"
            )
        lines += [f"  note: {text}" for text in card.get("template_notes", [])]
        lines += [f"  beware: {text}" for text in card.get("pitfalls", [])]
        lines += [f"  not confirmed: {text}" for text in card.get("unconfirmed", [])]
    if file:
        lines.append(f"on this machine: {file['path']}")
        if "parameters" in file:
            lines.append(
                f"  {file['architecture']} {file['quantisation']}, "
                f"{formats.parameters(file['parameters'])} parameters, "
                f"{formats.size(file['bytes'])}, {file['context_length']:,} tokens of context, "
                f"{file['vocabulary']:,} in the vocabulary"
            )
            if not file["chat_template"]:
                lines.append(f"  {NO_TEMPLATE}")
    elif card:
        lines.append(f"not on this machine: localrl models pull {card['name']}")
    return lines


@command.command("search")
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", default=20, show_default=True, help="Most results.")
@JSON
def search(words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Ask the hub for repos with GGUF files that match WORDS."""
    from localrl.catalog import hub

    results = hub.search(" ".join(words), limit)
    if as_json:
        document([asdict(result) for result in results])
    elif results:
        rows = [[r.repo, f"{r.downloads:,}", f"{r.likes:,}"] for r in results]
        table(["repo", "downloads", "likes"], rows, right=(1, 2))
    else:
        note("nothing found")


@command.command("rm")
@arguments.model("models", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@JSON
def remove(models: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Free the space that MODELS take in the hub's cache, unfinished downloads included."""
    freed = 0
    for model in models:
        wanted = _wanted(model)
        if wanted is None:
            raise UsageError(f"{model} is not in the hub's cache", hint="remove other files yourself")
        chosen, partials = wanted.cached()
        if not chosen and not partials:
            raise UsageError(f"nothing of {model} is in the hub's cache")
        total = sum({entry.etag: entry.bytes for entry in chosen}.values())
        total += sum(partial.bytes for partial in partials)
        if not yes:
            click.confirm(f"remove {wanted.name} ({formats.size(total)})?", abort=True, err=True)
        freed += hubcache.remove_partials(wanted.repo, partials) + hubcache.remove(wanted.repo, chosen)
    if as_json:
        document({"freed_bytes": freed})
    else:
        click.echo(f"freed {formats.size(freed)}")


def _wanted(model: str) -> reference.Reference | None:
    """What MODEL means; of a card without a quantisation, the one that is here."""
    wanted = reference.parse(model)
    if wanted and wanted.card and ":" not in model and is_here(model):
        return reference.parse(f"{model}:{locate(model).quantisation}")
    return wanted

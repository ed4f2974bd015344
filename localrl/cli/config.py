"""`localrl config`: show the settings, and where each comes from."""

from __future__ import annotations

import importlib
from dataclasses import asdict

import click

from localrl import paths, settings
from localrl.cli.lazy import LazyGroup
from localrl.cli.output import document, table


@click.group("config", cls=LazyGroup)
def command() -> None:
    """Show the settings and where they come from."""


@command.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(as_json: bool) -> None:
    """Show every setting with its value and its origin."""
    loaded = settings.load()
    if {"theme", "keys"} & {key for key, origin in loaded.origin.items() if origin != "default"}:
        importlib.import_module("localrl.tui.app").LocalrlApp()  # refuses what the interface would refuse
    values = asdict(loaded.settings)
    if as_json:
        document({key: {"value": value, "origin": loaded.origin[key]} for key, value in values.items()})
        return
    rows = [[key, _words(value), loaded.origin[key]] for key, value in values.items()]
    table(["setting", "value", "from"], rows)


def _words(value: object) -> str:
    """A setting's value as a person reads it."""
    if isinstance(value, dict):
        return ", ".join(f"{name} = {key}" for name, key in value.items()) or "–"
    return ", ".join(map(str, value)) if isinstance(value, list) else "–" if value is None else str(value)


@command.command("path")
def path() -> None:
    """Show where localrl keeps settings, data, logs and caches."""
    for file in settings.files():
        click.echo(f"settings  {file.absolute()}{'' if file.is_file() else '  (not there)'}")
    for kind in ("data", "state", "cache"):
        click.echo(f"{kind:8}  {paths.home(kind)}")

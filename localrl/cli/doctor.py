"""`localrl doctor`: what works on this machine, and what to do about the rest."""

from __future__ import annotations

import platform
import shutil
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import click

from localrl import __version__, formats, paths
from localrl.cli.output import document
from localrl.engine import backends
from localrl.machine import hardware

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.plugins import Plugin

State = Literal["ok", "note", "missing"]
SIGNS: dict[State, str] = {"ok": "✓", "note": "·", "missing": "✗"}
LEAST_FREE_BYTES = 5 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    part: str
    state: State
    text: str
    todo: str = ""
    members: tuple[Plugin, ...] = ()
    """Of a package that extends localrl: what it adds."""


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(as_json: bool) -> None:
    """Say what works on this machine: hardware, backends, sandbox, disk, versions."""
    found = []
    for finding in findings():
        found.append(finding)
        if not as_json:
            click.echo(f"{SIGNS[finding.state]} {finding.part:<10} {finding.text}")
            if finding.todo:
                click.echo(f"  {'':<10} → {finding.todo}")
    if as_json:
        document([{k: v for k, v in asdict(finding).items() if k != "members" or v} for finding in found])


def findings() -> Iterator[Finding]:
    """Everything that was looked at, in the order in which it is shown."""
    machine = hardware.probe()
    bandwidth = f", {formats.bandwidth(machine.bandwidth)}" if machine.bandwidth else ""
    usable = f"{formats.size(machine.usable_bytes)} for models{bandwidth}"
    yield Finding("machine", "ok", f"{machine.device}, {machine.cpu}, {machine.cores} cores, {usable}")
    for name in backends.offered():
        health = backends.health(name, machine)
        yield Finding(name, health.state, health.text, health.todo)
    yield _starter()
    yield _sandbox()
    yield _energy()
    yield from _disk()
    yield from _plugins()
    yield Finding("versions", "ok", f"localrl {__version__}, Python {platform.python_version()}")


def _starter() -> Finding:
    from localrl.catalog.locate import STARTER, locate
    from localrl.errors import LocalrlError

    try:
        return Finding("starter", "ok", f"{STARTER} at {locate(STARTER).path}")
    except LocalrlError as error:
        return Finding("starter", "note", str(error.args[0]), error.hint)


def _sandbox() -> Finding:
    """The mechanism that code from models would run in, after its canaries."""
    from localrl import sandbox
    from localrl.verify.code_prelude import visible_packages

    found = sandbox.probe()
    if found.name:
        packages = ", ".join(visible_packages()) or "no packages"
        return Finding("sandbox", "ok", f"{found.name}: {found.covers}; programs may import {packages}")
    why = "; ".join(f"{name}: {reason}" for name, reason in found.refused.items())
    return Finding("sandbox", "missing", f"none, so code is not run ({why})", "see docs/sandbox.md")


def _energy() -> Finding:
    """Which sensors a run's joules would come from."""
    from localrl.runs import energy

    found, why = energy.sensors()
    if found:
        return Finding("energy", "ok", f"measured by {', '.join(sensor.name for sensor in found)}")
    return Finding("energy", "note", f"not measured: {why}")


def _disk() -> Iterator[Finding]:
    from huggingface_hub.constants import HF_HUB_CACHE

    for part, folder in (("data", paths.home("data")), ("models", HF_HUB_CACHE)):
        place = paths.existing_parent(folder)
        free = shutil.disk_usage(place).free
        state: State = "ok" if free >= LEAST_FREE_BYTES else "note"
        todo = (
            ""
            if state == "ok"
            else "free some space, or move it with " + ("LOCALRL_HOME" if part == "data" else "HF_HOME")
        )
        yield Finding(part, state, f"{folder}, {formats.size(free)} free", todo)


def _plugins() -> Iterator[Finding]:
    """What each package adds; one with a member that cannot be used says why."""
    from localrl import plugins

    by_package: dict[str, list[plugins.Plugin]] = defaultdict(list)
    for plugin in plugins.installed():
        by_package[f"{plugin.package} {plugin.version}"].append(plugin)
    for package, members in sorted(by_package.items()):
        names = ", ".join(f"{each.group.removeprefix('localrl.')}/{each.name}" for each in members)
        faults = [each.fault for each in members if each.fault]
        state: State = "missing" if faults else "ok"
        yield Finding("plugins", state, f"{package}: {names}", "; ".join(faults), tuple(members))

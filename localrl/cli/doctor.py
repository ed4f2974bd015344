"""`localrl doctor`: what works on this machine, and what to do about the rest."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import click

from localrl import __version__, formats, hardware, paths
from localrl.cli.output import document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.hardware import Machine

State = Literal["ok", "note", "missing"]
SIGNS: dict[State, str] = {"ok": "✓", "note": "·", "missing": "✗"}
LEAST_FREE_BYTES = 5 << 30
LIBRARY = """
import json
from localrl.engine.backends.llama_cpp import device
print(json.dumps(device.library()))
"""


@dataclass(frozen=True, slots=True)
class Finding:
    part: str
    state: State
    text: str
    todo: str = ""


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
        document([asdict(finding) for finding in found])


def findings() -> Iterator[Finding]:
    """Everything that was looked at, in the order in which it is shown."""
    machine = hardware.probe()
    bandwidth = f", {formats.bandwidth(machine.bandwidth)}" if machine.bandwidth else ""
    usable = f"{formats.size(machine.usable_bytes)} for models{bandwidth}"
    yield Finding("machine", "ok", f"{machine.device}, {machine.cpu}, {machine.cores} cores, {usable}")
    yield _llama_cpp(machine)
    yield from _other_backends(machine)
    yield _starter()
    yield _sandbox()
    yield _energy()
    yield from _disk()
    yield Finding("versions", "ok", f"localrl {__version__}, Python {platform.python_version()}")


def _llama_cpp(machine: Machine) -> Finding:
    """Ask the library in a child: a broken build can end the process that imports it."""
    try:
        child = subprocess.run(
            [sys.executable, "-c", LIBRARY], capture_output=True, text=True, timeout=60, check=True
        )
        library = json.loads(child.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, ValueError, IndexError):
        return Finding("llama.cpp", "missing", "cannot be loaded", "install it again; the README says how")
    text = f"llama-cpp-python {library['version']}"
    usable = library["accelerators"]
    if machine.kind == "cpu" and usable:
        text += f", on {usable[0]}; what fits it is known when a model is loaded"
        return Finding("llama.cpp", "note", text, "describe it to `models fit` with --memory and --bandwidth")
    if machine.kind == "cpu":
        return Finding("llama.cpp", "ok", f"{text}, on the processor")
    if not library["gpu_offload"]:
        todo = "install a build with CUDA or Metal; the README says how"
        return Finding("llama.cpp", "note", f"{text}, built without support for {machine.device}", todo)
    if not usable:
        todo = "see that its driver is as new as the CUDA that llama.cpp was built with"
        return Finding("llama.cpp", "note", f"{text}, which cannot use {machine.device}", todo)
    return Finding("llama.cpp", "ok", f"{text}, on {machine.device}")


def _other_backends(machine: Machine) -> Iterator[Finding]:
    from localrl.engine import backends
    from localrl.engine.backends.mlx import model

    apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    if backends.available("mlx"):
        version = importlib.metadata.version("mlx-lm")
        yield Finding("MLX", "ok", f"mlx-lm {version}; it cannot: {'; '.join(model.limits())}")
    else:
        state: State = "missing" if apple else "note"
        yield Finding("MLX", state, "not installed", "pip install 'localrl[mlx]'" if apple else "")
    if backends.available("server"):
        yield Finding("servers", "ok", "any OpenAI-compatible server, with --endpoint")
    else:
        yield Finding("servers", "note", "not installed", "pip install 'localrl[server]'")


def _starter() -> Finding:
    from localrl.catalog.resolve import STARTER, resolve
    from localrl.errors import LocalrlError

    try:
        return Finding("starter", "ok", f"{STARTER} at {resolve(STARTER).path}")
    except LocalrlError as error:
        return Finding("starter", "note", str(error.args[0]), error.hint)


def _sandbox() -> Finding:
    """The mechanism that code from models would run in, after its canaries."""
    from localrl import sandbox

    found = sandbox.probe()
    if found.name:
        return Finding("sandbox", "ok", f"{found.name}: {found.covers}")
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

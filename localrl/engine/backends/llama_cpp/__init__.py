"""llama.cpp as a backend: GGUF files, on the processor and on every accelerator that the build knows."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrl import isolated
from localrl.engine.backends import Form, Health

if TYPE_CHECKING:
    from localrl.engine.prompts import PromptEncoder
    from localrl.engine.protocol import Backend, EngineSettings
    from localrl.machine.hardware import Machine

NAME = "llama.cpp"
SUMMARY = "GGUF files, on the processor, CUDA, Metal and what else llama.cpp was built for"
FORM = Form.GGUF
REQUIRES: tuple[str, ...] = ("llama_cpp",)
INSTALL = "install llama-cpp-python again; the README says how"
CANNOT: tuple[str, ...] = ()


def load(settings: EngineSettings) -> Backend:
    """Raises what `LlamaDevice` raises."""
    from localrl.engine.backends.llama_cpp.device import LlamaDevice
    from localrl.engine.scheduler import Scheduler

    return Scheduler(
        LlamaDevice(settings),
        settings.parallel,
        aim=settings.aim,
        speculate=settings.speculate,
        first_parallel=settings.first_parallel,
    )


def prompts(settings: EngineSettings) -> PromptEncoder:
    """Raises what `vocabulary.of_file` raises."""
    from localrl.engine.backends.llama_cpp import vocabulary
    from localrl.engine.prompts import PromptEncoder

    found, template = vocabulary.of_file(Path(settings.model))
    return PromptEncoder(settings.template(template), found)


def health(machine: Machine) -> Health:
    """Ask the library in a child: a broken build can end the process that imports it."""
    try:
        child = subprocess.run(
            isolated.command(f"{__name__}.accelerators"),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        library: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, ValueError, IndexError):
        return Health("missing", "cannot be loaded", INSTALL)
    text = f"llama-cpp-python {library['version']}"
    usable = library["accelerators"]
    if machine.kind == "cpu" and usable:
        text += f", on {usable[0]}; what fits it is known when a model is loaded"
        return Health("note", text, "describe it to `models fit` with --memory and --bandwidth")
    if machine.kind == "cpu":
        return Health("ok", f"{text}, on the processor")
    if not library["gpu_offload"]:
        todo = "install a build with CUDA or Metal; the README says how"
        return Health("note", f"{text}, built without support for {machine.device}", todo)
    if not usable:
        todo = "see that its driver is as new as the CUDA that llama.cpp was built with"
        return Health("note", f"{text}, which cannot use {machine.device}", todo)
    return Health("ok", f"{text}, on {machine.device}")

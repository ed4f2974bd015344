"""mlx-lm as a backend: folders of MLX weights, on Apple machines and, slowly, on Linux."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

from localrl import installation
from localrl.engine.backends import Ability, Form, Health, available

if TYPE_CHECKING:
    from localrl.engine.prompts import PromptEncoder
    from localrl.engine.protocol import Backend, EngineSettings
    from localrl.machine.hardware import Machine

SUMMARY = "MLX folders, on Apple silicon and, slowly, on Linux"
FORM = Form.MLX
REQUIRES: tuple[str, ...] = ("mlx_lm",)
INSTALL = installation.extra("mlx")
CANNOT: tuple[str, ...] = (
    Ability.FORK,
    Ability.GRAMMAR,
    "keep short texts cheap beside a long one: the cache is padded to its longest row",
    "quantise the cache: --cache-type is f16 only",
    "share prompts between groups",
    "report log-probabilities before penalties: with penalties they are those after them",
    "run GGUF files, architectures that mlx-lm does not know, or code from a model's repository",
)


def load(settings: EngineSettings) -> Backend:
    """Raises what `MlxDevice` raises."""
    from localrl.engine.backends.mlx.device import MlxDevice
    from localrl.engine.backends.mlx.padded import PaddedScheduler
    from localrl.errors import Unavailable

    try:
        return PaddedScheduler(MlxDevice(settings), settings.parallel)
    except MemoryError as error:
        raise Unavailable(f"no memory for {settings.model}") from error


def prompts(settings: EngineSettings) -> PromptEncoder:
    """Raises what `device.prompts` raises."""
    from localrl.engine.backends.mlx import device

    return device.prompts(settings)


def health(machine: Machine) -> Health:
    """Only on Apple silicon is something missing without it."""
    if available("mlx"):
        return Health("ok", f"mlx-lm {importlib.metadata.version('mlx-lm')}; it cannot: {'; '.join(CANNOT)}")
    if machine.kind == "metal":
        return Health("missing", "not installed", INSTALL)
    return Health("note", "not installed")

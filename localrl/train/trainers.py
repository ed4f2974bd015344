"""Which trainer goes with a backend; its library is imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localrl.errors import UsageError

if TYPE_CHECKING:
    from localrl.train.trainer import Trainer, TrainerSettings


def load(backend: str, settings: TrainerSettings) -> Trainer:
    """The trainer of a backend's models, with its weights loaded.

    Raises:
        UsageError: models of this backend, or of this architecture, cannot be trained.
        Unavailable: the library that computes is not installed.
    """
    if backend == "scripted":
        from localrl.train.scripted import ScriptedTrainer

        return ScriptedTrainer(settings)
    if backend == "llama.cpp":
        from localrl.train.torch import TorchTrainer

        return TorchTrainer(settings)
    raise UsageError(f"models of the backend {backend} cannot be trained", hint="take a .gguf file")

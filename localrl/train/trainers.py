"""Which trainer goes with a backend; its library is imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localrl import installation
from localrl.errors import Unavailable, UsageError

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
        try:
            from localrl.train.torch.trainer import TorchTrainer
        except ImportError as error:
            hint = installation.extra("train")
            raise Unavailable(f"training needs {error.name}, which is not installed", hint=hint) from error
        return TorchTrainer(settings)
    raise UsageError(f"models of the backend {backend} cannot be trained", hint="take a .gguf file")

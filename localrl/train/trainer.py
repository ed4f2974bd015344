"""What computes an update of the adapter: the contract that the loop and every library's trainer share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from localrl.train.batch import RolloutGroup, TrainingBatch


@dataclass(frozen=True, slots=True)
class TrainerSettings:
    """What a trainer is made with; the same settings and batches give the same adapter."""

    model: str
    """Path of the weights that the engine runs."""
    rank: int = 16
    alpha: float = 32.0
    """The adapter's part is scaled by alpha / rank."""
    seed: int = 0
    """Of the adapter's initial values, the only random numbers of a trainer."""
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    """These are AdamW's."""
    threads: int | None = None
    """None takes one a core."""
    prompt_tokens: int = 512
    sample_tokens: int = 512
    samples: int = 8
    """What memory is planned for: a group's prompt, one of its samples, and their number."""
    micro_tokens: int | None = None
    """Tokens of one forward and backward pass; fewer take less memory. None takes what fits, as below."""
    checkpoint: bool | None = None
    """Compute a layer's activations again in the backward pass instead of keeping them."""
    packed: bool | None = None
    """Keep the weights in the file's own blocks and dequantise them when they are used."""


@dataclass(frozen=True, slots=True)
class StepStats:
    """What an update says of itself; means are over the tokens that it trained on."""

    loss: float
    gradient_norm: float
    """L2, before it was clipped; the mean over updates."""
    entropy: float
    """Of the policy at each token, in nats."""
    kl: float | None
    """k3 estimate of KL(policy || weights without adapter); None where the objective has no use for it."""
    mismatch: float
    """k3 estimate of KL(engine || trainer): how far the engine's probabilities are from the trainer's."""
    outside: float
    """Share of tokens whose probabilities differ by more than a factor of 2 between engine and trainer."""
    effective: float
    """Effective sample size of the importance weights, as a share of the tokens."""
    capped: float
    """Share of tokens whose importance weight was cut."""
    tokens: int
    """Trained on, prompts apart."""
    wall_s: float
    processor_s: float
    peak_memory_bytes: int


class Trainer(Protocol):
    """Weights, an adapter and an optimiser, loaded on one device.

    Everything that a later step depends on is in `save`: a trainer that loads it computes the same steps as
    one that was never stopped, where the arithmetic is deterministic.
    """

    def step(self, batch: TrainingBatch) -> StepStats:
        """Update the adapter, `batch.updates` times.

        Raises:
            LocalrlError: loss or gradient is not finite; nothing was changed.
        """

    def logprobs(self, groups: Sequence[RolloutGroup]) -> list[NDArray[np.float32]]:
        """The trainer's own log-probabilities of every rollout's tokens: an array (T,) a rollout."""

    def save(self, path: Path) -> None:
        """Write adapter and optimiser state; the file is complete or not there."""

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote.

        Raises:
            LocalrlError: it is of another model, rank or version.
        """

    def export(self, path: Path) -> None:
        """Write the adapter as the engine loads it: a GGUF file, or a folder for MLX; whole or not there."""

    def close(self) -> None:
        """Free everything."""

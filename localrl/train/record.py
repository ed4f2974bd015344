"""What a step of a training did, in numbers: kept in the store, shown on screens, watched by `rails`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class StepRecord:
    """None is what was not measured: a step without a mixed group updates nothing."""

    step: int
    """From 0."""
    drawn: int
    """Groups that were sampled."""
    groups: int
    """Those that were trained on."""
    without_spread: int
    """Groups whose rewards were all alike: they teach nothing."""
    samples: int
    reward: float
    """Mean over all samples."""
    correct: float
    """Share of all samples."""
    truncated: float
    """Share that did not end by itself."""
    failed: int
    """Samples on which the verifier failed."""
    tokens: int
    """Generated, by all samples."""
    lr: float
    kl_weight: float
    loss: float | None = None
    gradient_norm: float | None = None
    entropy: float | None = None
    """Nats a token, mean."""
    kl: float | None = None
    """k3 estimate of the divergence from the untrained model, a token."""
    mismatch: float | None = None
    """k3 estimate of the divergence of trainer and engine on the same weights, a token."""
    outside: float | None = None
    """Share of tokens whose probabilities in engine and trainer differ by more than a factor of 2."""
    effective: float | None = None
    """Effective sample size of the importance weights, as a share of the tokens."""
    capped: float | None = None
    """Share of tokens whose importance weight was cut."""
    tokens_per_s: float = 0.0
    """Over all streams, of the samples that the step's last session drew."""
    rollout_s: float = 0.0
    verify_s: float = 0.0
    """Waited for verifiers after the last sample had come."""
    update_s: float = 0.0
    swap_s: float = 0.0
    """The adapter written and given to the engine."""
    wall_s: float = 0.0
    processor_s: float = 0.0
    """Of the app and the engine's worker together."""
    memory_bytes: int = 0
    """Of both, at their peaks."""
    energy_j: dict[str, float] = field(default_factory=dict)
    """By sensor; empty where nothing counts it."""

    @property
    def tokens_per_sample(self) -> float:
        return self.tokens / self.samples if self.samples else 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

"""Recipes: how a model is trained, as data. One TOML file each in `recipes/`, or a person's own.

A recipe says what one step is (groups, advantages, loss, optimiser) and, under `[paper]`, how its authors ran
it. What one machine does otherwise is said before a training starts and kept with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from localrl import tomlfile
from localrl.definitions import definitions
from localrl.errors import UsageError, nearest
from localrl.evals.rewards import Reward
from localrl.stats import advantages
from localrl.tomlfile import Strict

if TYPE_CHECKING:
    from collections.abc import Sequence

ADVANTAGES = {"standardised": advantages.standardised, "centred": advantages.centred}


class Loss(Strict):
    """The clipped policy gradient: sum over tokens of -min(rho A, clip(rho, 1 - low, 1 + high) A)."""

    mean: Literal["token", "sample"] = "sample"
    """`sample`: every sample counts the same, whatever its length (GRPO); `token`: every token (DAPO)."""
    clip_low: float = Field(default=0.2, gt=0, le=1)
    clip_high: float = Field(default=0.2, gt=0)
    importance_cap: float = Field(default=2.0, ge=1)
    """A token's weight is the trainer's probability over the engine's, at most this."""


class Kl(Strict):
    """Weight of the k3 estimate of the divergence from the untrained model, over the steps of a training."""

    lowest: float = Field(ge=0)
    highest: float = Field(ge=0)
    """The same as `lowest`: a constant weight."""
    turn: float = Field(default=0.3, gt=0, lt=1)
    """The share of the steps after which it turns."""

    @model_validator(mode="after")
    def _ordered(self) -> Kl:
        if self.lowest > self.highest:
            raise ValueError("lowest must not be above highest")
        return self

    def weight(self, step: int, steps: int) -> float:
        """Of step 0 to steps - 1: from the middle down to `lowest`, then up to `highest` (arXiv 2503.16081,
        equation 3; the paper's prose says that it only rises)."""
        turn, middle = self.turn * steps, (self.lowest + self.highest) / 2
        if step <= turn:
            return middle - (middle - self.lowest) * step / turn
        return self.lowest + (self.highest - self.lowest) * (step - turn) / (steps - turn)


class Optimiser(Strict):
    """AdamW."""

    lr: float = Field(gt=0, le=1)
    warmup: int = Field(default=3, ge=0)
    """Steps over which the learning rate rises to `lr`."""
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = Field(default=0.0, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    """The gradient's norm is cut to this."""


class Lora(Strict):
    """Low-rank adapters on every linear layer."""

    rank: int = Field(default=16, ge=1, le=1024)
    alpha: float = Field(default=32.0, gt=0)


class Paper(Strict):
    """How the recipe's authors ran it; None where they do not say."""

    samples: int | None = None
    prompts: int | None = None
    lr: float | None = None
    max_tokens: int | None = None
    updates: int | None = None
    """Of the weights in a step; here one."""
    note: list[str] = []
    """What else this machine does otherwise, whatever the settings."""


class Recipe(Strict):
    name: str
    title: str
    source: str = ""
    steps: int = Field(default=100, ge=1)
    prompts: int = Field(default=8, ge=1)
    """Groups a step."""
    samples: int = Field(default=8, ge=2)
    """The group size k."""
    temperature: float = 1.0
    advantage: Literal["standardised", "centred"] = "standardised"
    only_mixed: bool = False
    """Dynamic sampling: groups without spread are left out, and others drawn in their place."""
    most_drawn: float = Field(default=2.0, ge=1)
    """With `only_mixed`, at most so many times `prompts` groups are drawn for a step."""
    reward: Reward = Reward(name="accuracy")
    """Taken where the eval has no `[[rewards]]`."""
    check_every: int = Field(default=10, ge=1)
    """Steps between two measurements on held-out problems."""
    loss: Loss = Loss()
    kl: Kl | None = None
    optimiser: Optimiser
    lora: Lora = Lora()
    paper: Paper = Paper()

    @field_validator("temperature")
    @classmethod
    def _as_log_probabilities_are_told(cls, value: float) -> float:
        if value != 1:
            raise ValueError("temperature must be 1: samples are corrected by probabilities at temperature 1")
        return value

    def advantages(self, rewards: Sequence[float]) -> list[float]:
        return ADVANTAGES[self.advantage](rewards)

    def changed(self, **values: Any) -> Recipe:
        """With what a person set by flags; None leaves a value as it is.

        Raises:
            UsageError: a value is out of its range.
        """
        parts: dict[str, Any] = self.model_dump(exclude_unset=True)
        parts["optimiser"] = {**parts["optimiser"]}
        parts["lora"] = {**parts.get("lora", {})}
        for key, value in values.items():
            if value is not None:
                {"lr": parts["optimiser"], "rank": parts["lora"]}.get(key, parts)[key] = value
        if values.get("rank") is not None:
            parts["lora"]["alpha"] = self.lora.alpha * values["rank"] / self.lora.rank
        try:
            return Recipe.model_validate(parts)
        except ValidationError as error:
            first = error.errors()[0]
            raise UsageError(f"--{first['loc'][-1]}: {first['msg'].lower()}") from error

    def deviations(self, max_tokens: int) -> list[str]:
        """How a training departs from the paper's, in words.

        Args:
            max_tokens: the limit of one sample, thinking included.
        """
        here = {"samples": self.samples, "prompts": self.prompts, "lr": self.optimiser.lr}
        here |= {"max_tokens": max_tokens, "updates": 1}
        said = self.paper.model_dump(exclude={"note"}, exclude_none=True)
        found = [
            f"{key.replace('_', ' ')} {here[key]:g}, paper {value:g}"
            for key, value in said.items()
            if here[key] != value
        ]
        if said or self.paper.note:
            found.append(f"LoRA of rank {self.lora.rank}, paper all weights")
        return [*found, *self.paper.note]


def available() -> dict[str, Path]:
    """Every recipe by name."""
    return {name: found.path for name, found in definitions("recipes").items()}


def load(name: str) -> Recipe:
    """A recipe by its name, or a TOML file of one's own.

    Raises:
        UsageError: there is no such recipe; names the nearest.
        ConfigError: its file is malformed; with line and nearest key.
    """
    if name.endswith(".toml"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise UsageError(f"no recipe file {name}")
        return tomlfile.load(path, Recipe)
    known = available()
    if name not in known:
        raise UsageError(f"no recipe named {name!r}", hint=nearest(name, known))
    return tomlfile.load(known[name], Recipe)

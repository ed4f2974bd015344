"""What a person asks of a run, in plain values; `localrl bench` has flags for it, the bench screen a form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from localrl.chat import ThinkingControl
from localrl.engine.protocol import ServerOptions
from localrl.runs.budgets import ANSWER_TOKENS, Budgets

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What is None or empty is as the settings, the model's card and the evals say."""

    model: str = ""
    evals: tuple[str, ...] = ()
    name: str = ""
    backend: str = "auto"
    endpoints: tuple[str, ...] = ()
    server: ServerOptions = field(default_factory=ServerOptions)
    chat_template: Path | None = None
    """A file, in place of the template in the model's files."""
    parallel: int | Literal["auto"] | None = None
    context: int | None = None
    """Tokens over all streams."""
    cache_type: Literal["f16", "q8_0", "q4_0"] | None = None
    placement: dict[str, Any] = field(default_factory=dict)
    """Threads and accelerators, as `EngineSettings` names them."""
    adapter: str | None = None
    """Path of a LoRA adapter."""
    samples: int | None = None
    """Of each problem."""
    limit: int | None = None
    """Only so many problems of each eval."""
    seed: int = 0
    sampling: dict[str, Any] = field(default_factory=dict)
    """The sampler's settings by name."""
    control: ThinkingControl = field(default_factory=ThinkingControl)
    budgets: Budgets = ()
    """Thinking budgets at which every sample also answers, beside thinking on."""
    budget_answer_tokens: int = ANSWER_TOKENS
    loop_guard: bool = True
    until: float | None = None
    decide: str | None = None
    """A run's id."""
    command: tuple[str, ...] = ()

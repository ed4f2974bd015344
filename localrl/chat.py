"""What is said to a model: messages, the tags between which it thinks, and how long it may think."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from localrl.tomlfile import Strict

Role = Literal["system", "user", "assistant"]
Effort = Literal["low", "medium", "high"]
EFFORTS: tuple[Effort, ...] = ("low", "medium", "high")
PROBE = "\n\n**Final Answer**\n\\boxed{"
"""Asks a model that thinks for its answer as it is so far; Dynasor's wording (arXiv 2412.20993)."""


class Message(Strict):
    role: Role
    content: str


class ThinkingTags(Strict):
    """How a model marks its thinking, such as `<think>` ... `</think>`, and how that is steered."""

    open: str = "<think>"
    close: str = "</think>"
    budget_message: str = ""
    """What closes the thinking at a budget, closing tag included; empty for the bare tag on a line."""
    off: Literal["template", "empty_block", "never"] = "template"
    """How thinking is switched off: `enable_thinking=false` for the template, an empty block between the tags
    behind the prompt, or not at all."""
    efforts: list[Effort] = []
    """What its template takes as `reasoning_effort`."""

    @property
    def closing(self) -> str:
        """The text with which the thinking is closed at a budget."""
        return self.budget_message or f"\n{self.close}\n\n"


class ThinkingControl(Strict):
    """How long a model may think; by default as long as it likes."""

    enabled: bool = True
    budget: int | None = Field(default=None, ge=1)
    """Thinking tokens after which the engine closes the thinking and lets the answer be decoded."""
    effort: Effort | None = None
    stop_when_sure: int | None = Field(default=None, ge=1)
    """Close the thinking after so many equal answers of probes in a row."""

"""What is said to a model: messages, the tags between which it thinks, and how long it may think."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from localrl.tomlfile import Strict

Role = Literal["system", "user", "assistant", "tool"]
Effort = Literal["low", "medium", "high"]
EFFORTS: tuple[Effort, ...] = ("low", "medium", "high")
PROBE = "\n\n**Final Answer**\n\\boxed{"
"""Asks a model that thinks for its answer as it is so far; Dynasor's wording (arXiv 2412.20993)."""


class ToolCall(Strict):
    """A function that the model wants called."""

    name: str
    arguments: dict[str, Any]
    id: str = ""


class Message(Strict):
    role: Role
    content: str
    thinking: str = ""
    """What an assistant thought before; templates that want it again take it as `reasoning_content`."""
    tool_calls: list[ToolCall] = []
    """An assistant's."""
    tool_call_id: str = ""
    """Which call the message of a tool answers."""

    @model_serializer(mode="wrap")
    def _without_defaults(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialise(self)
        return {name: value for name, value in fields.items() if value or name in ("role", "content")}

    def as_openai(self) -> dict[str, Any]:
        """In the words of OpenAI's API, which chat templates speak too; arguments stay an object."""
        said: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.thinking:
            said["reasoning_content"] = self.thinking
        if self.tool_calls:
            said["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in self.tool_calls
            ]
        if self.tool_call_id:
            said["tool_call_id"] = self.tool_call_id
        return said


class ThinkingTags(Strict):
    """How a model marks its thinking, such as `<think>` ... `</think>`, and how that is steered."""

    open: str = "<think>"
    close: str = "</think>"
    budget_message: str = ""
    """What closes the thinking at a budget, closing tag included; empty for the bare tag on a line."""
    source: str = ""
    """Where its publishers say so."""
    off: Literal["template", "empty_block", "never"] = "template"
    """How thinking is switched off: `enable_thinking=false` for the template, an empty block between the tags
    behind the prompt, or not at all."""

    @model_validator(mode="after")
    def _closes(self) -> ThinkingTags:
        if self.budget_message and self.close not in self.budget_message:
            raise ValueError(f"budget_message does not hold the closing tag {self.close!r}")
        return self

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

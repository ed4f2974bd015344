"""What is said to a model: messages, and the tags between which it thinks."""

from __future__ import annotations

from typing import Literal

from localrl.tomlfile import Strict

Role = Literal["system", "user", "assistant"]


class Message(Strict):
    role: Role
    content: str


class ThinkingTags(Strict):
    """How a model marks its thinking in its output, such as `<think>` ... `</think>`."""

    open: str = "<think>"
    close: str = "</think>"

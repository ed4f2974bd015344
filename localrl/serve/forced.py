"""Calls that the client insists on (`tool_choice`): the answer is held to the shape of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localrl import jsontext
from localrl.engine.protocol import Grammar
from localrl.serve.calls import ParsedCall, parsed_call
from localrl.serve.problems import RequestProblem

if TYPE_CHECKING:
    from localrl.serve.body import ChatBody, Tool


def wanted(body: ChatBody) -> list[Tool]:
    """The tools of which one must be called; empty where the model may choose not to.

    Raises:
        RequestProblem: `tool_choice` names no tool, or there are none.
    """
    choice = body.tool_choice
    if choice in (None, "none", "auto"):
        return []
    name = None
    if isinstance(choice, dict):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else choice.get("name")
    elif choice != "required":
        raise RequestProblem(
            400, "tool_choice is none, auto, required, or names a function", param="tool_choice"
        )
    found = [tool for tool in body.tools or [] if name in (None, tool.function.name)]
    if not found or (isinstance(choice, dict) and name is None):
        raise RequestProblem(
            400, f"tool_choice asks for {name or 'a tool'}, which is not given", param="tool_choice"
        )
    return found


def grammar(tools: list[Tool]) -> Grammar:
    """One call of one of these tools, as JSON."""
    calls: list[dict[str, Any]] = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool.function.name},
                "arguments": tool.function.parameters or {"type": "object"},
            },
            "required": ["name", "arguments"],
        }
        for tool in tools
    ]
    return Grammar("json_schema", jsontext.dumps(calls[0] if len(calls) == 1 else {"oneOf": calls}))


class ForcedParser:
    """The one call that the answer is."""

    def __init__(self) -> None:
        self._text = ""

    def feed(self, text: str) -> tuple[str, list[ParsedCall]]:
        self._text += text
        return "", []

    def end(self) -> tuple[str, list[ParsedCall]]:
        """The call; the text as it is where the limit cut it."""
        try:
            call = jsontext.loads(self._text.encode())
        except (ValueError, RecursionError):
            return self._text, []
        return "", [parsed_call(call["name"], call["arguments"])]

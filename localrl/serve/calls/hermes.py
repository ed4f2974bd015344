"""NousResearch's Hermes, and Qwen2.5 and Qwen3 after it.

<tool_call>
{"name": "weather", "arguments": {"city": "Rome"}}
</tool_call>
"""

from __future__ import annotations

from localrl import jsontext
from localrl.serve.calls import BlockParser, ParsedCall, Tools, parsed_call

FAMILIES = ("qwen2", "qwen3", "qwen3moe")
MARK = '{"name": <function-name>, "arguments": <args-json-object>}'
SHOWN = "<tool_call></tool_call>"
ALWAYS = False

OPENS = "<tool_call>"


def parser(tools: Tools) -> BlockParser:
    return BlockParser((OPENS,), "</tool_call>", _read)


def _read(block: str) -> list[ParsedCall] | None:
    try:
        call = jsontext.loads(block.removeprefix(OPENS).strip().encode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        return None
    arguments = call.get("arguments", call.get("parameters"))
    return [parsed_call(call["name"], arguments if isinstance(arguments, dict) else {})]

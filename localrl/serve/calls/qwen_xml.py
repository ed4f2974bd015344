"""Qwen3-Coder, Qwen3.5 and Qwen3.6: each argument in a tag of its own, strings bare.

<tool_call>
<function=weather>
<parameter=city>
Rome
</parameter>
</function>
</tool_call>
"""

from __future__ import annotations

import re
from typing import Any

from localrl import jsontext
from localrl.serve.calls import BlockParser, ParsedCall, Tools, parsed_call

FAMILIES = ("qwen35", "qwen35moe")
MARK = "<function="
SHOWN = "<tool_call></tool_call>"
ALWAYS = False

_CALL = re.compile(r"\s*(?:<tool_call>)?\s*<function=([^>\n]+)>\n?(.*?)\s*</function>\s*", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>\s*(?=<parameter=|$)", re.DOTALL)
_UNCLOSED = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?(?:</parameter>\s*)?(?=<parameter=|$)", re.DOTALL)


def parser(tools: Tools) -> BlockParser:
    return BlockParser(
        ("<tool_call>", MARK),  # some forget the first
        "</tool_call>",
        lambda block: _read(block, tools, _PARAMETER),
        lambda block: _read(block, tools, _UNCLOSED),
    )


def _read(block: str, tools: Tools, parameter: re.Pattern[str]) -> list[ParsedCall] | None:
    call = _CALL.fullmatch(block)
    if call is None or parameter.sub("", call[2]).strip():
        return None
    name = call[1].strip()
    types = tools.get(name, {}).get("properties") or {}
    given = {key: _value(text, types.get(key)) for key, text in parameter.findall(call[2])}
    return [parsed_call(name, given)]


def _value(text: str, schema: Any) -> Any:
    """What a bare value means: a string where the schema says so, else JSON if it is such."""
    kinds = schema.get("type") if isinstance(schema, dict) else None
    kinds = [kinds] if isinstance(kinds, str) else list(kinds or [])
    if kinds == ["string"]:
        return text
    try:
        value = jsontext.loads(text.strip().encode())
    except (ValueError, RecursionError):
        literal = {"true": True, "false": False, "none": None}.get(text.strip().lower(), text)
        return literal if set(kinds) & {"boolean", "null"} or not kinds else text
    return text if "string" in kinds and not _fits(value, kinds) else value


def _fits(value: Any, kinds: list[str]) -> bool:
    named = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    kind = named.get(type(value), "null")
    return kind in kinds or (kind == "integer" and "number" in kinds)

"""DeepSeek V3 and R1, and V3.1 after them.

    <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather
    ```json
    {"city": "Rome"}
    ```<｜tool▁call▁end｜><｜tool▁calls▁end｜>

V3.1 writes the name before the separator, and the arguments bare behind it.
"""

from __future__ import annotations

import re

from localrl import jsontext
from localrl.serve.calls import BlockParser, ParsedCall, Tools, parsed_call

FAMILIES = ("deepseek-v3",)
MARK = "<｜tool▁calls▁begin｜>"

_BEGIN, _SEPARATOR, _END = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
_FENCED = re.compile(r"([^\n]+)\n```(?:json)?\n(.*?)\n?```\s*", re.DOTALL)


CLOSES = "<｜tool▁calls▁end｜>"
SHOWN = MARK + CLOSES + _BEGIN + _SEPARATOR + _END
ALWAYS = False


def parser(tools: Tools) -> BlockParser:
    return BlockParser((MARK,), CLOSES, _read)


def _read(block: str) -> list[ParsedCall] | None:
    """The calls of a block, or those before the place where it was cut."""
    calls: list[ParsedCall] = []
    rest = block.removeprefix(MARK).strip()
    while rest:
        if not rest.startswith(_BEGIN):
            return calls or None
        read = _first(rest.removeprefix(_BEGIN))
        if read is None:
            return calls or None
        call, rest = read
        calls.append(call)
    return calls or None


def _first(text: str) -> tuple[ParsedCall, str] | None:
    """The first call and what follows it; its end is where it can be read, for arguments may hold one."""
    at = text.find(_END)
    while True:
        whole = text if at < 0 else text[:at]
        if call := _call(whole):
            return call, "" if at < 0 else text[at + len(_END) :].lstrip()
        if at < 0:
            return None
        at = text.find(_END, at + 1)


def _call(text: str) -> ParsedCall | None:
    before, separator, after = text.partition(_SEPARATOR)
    fenced = _FENCED.fullmatch(after)
    name, arguments = (fenced[1], fenced[2]) if fenced else (before, after)
    try:
        given = jsontext.loads(arguments.strip().encode() or b"{}")
    except (ValueError, RecursionError):
        return None
    if not separator or not name.strip() or not isinstance(given, dict):
        return None
    return parsed_call(name.strip(), given)

"""gpt-oss (OpenAI's harmony): channels, of which `analysis` is thinking, `final` the answer, and `commentary`
to somebody a call.

    <|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city": "Rome"}<|call|>
"""

from __future__ import annotations

import re

from localrl import jsontext
from localrl.serve.calls import ParsedCall, Tools, parsed_call
from localrl.thinking import held_back

FAMILIES = ("gpt-oss",)
MARK = "<|channel|>commentary"
SHOWN = "<|start|><|channel|><|message|><|constrain|><|end|><|call|><|return|>"
ALWAYS = True

_HEADER = re.compile(r"(?:<\|start\|>)?(.*?)<\|message\|>", re.DOTALL)
_ENDS = ("<|end|>", "<|call|>", "<|return|>", "<|start|>", "<|channel|>")
_END = re.compile("|".join(map(re.escape, _ENDS)))
_CLOSING = re.compile(r"<\|(?:end|call|return)\|>")
_TO = re.compile(r"to=(functions\.)?([\w.\-]+)")


class _Parser:
    """Messages one after another; a header tells what each is."""

    def __init__(self) -> None:
        self._held = ""
        self._header: str | None = None
        """Of the message that is being read."""

    def feed(self, text: str) -> tuple[str, list[ParsedCall]]:
        self._held += text
        said, calls = "", list[ParsedCall]()
        while self._held:
            if self._header is None:
                header = self._find_header()
                if header is None:
                    break
                self._header = header
            read = self._whole_message()
            if read is None:
                said += self._stream()
                break
            said, calls, self._header = said + read[0], calls + read[1], None
        return said, calls

    def end(self) -> tuple[str, list[ParsedCall]]:
        held, self._held = self._held, ""
        if self._header is None:
            return ("" if held.lstrip().startswith(("<|", "assistant", "to=")) else held), []
        return self._message(held)

    def _find_header(self) -> str | None:
        """The next message's header; empty for text that has none, None while that is not clear."""
        found = _HEADER.match(self._held)
        if found:
            self._held = self._held[found.end() :]
            return found[1]
        starts = ("<|start|>", "<|channel|>", "assistant", "to=")
        begun = any(mark.startswith(self._held.lstrip()[: len(mark)]) for mark in starts)
        return None if begun else ""

    def _stream(self) -> str:
        """What may be said of a message before its end is there."""
        if self._recipient or self._is("analysis"):
            return ""
        keep = held_back(self._held, _ENDS)
        said, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return said

    def _whole_message(self) -> tuple[str, list[ParsedCall]] | None:
        """The message up to its end; a call ends where its arguments can be read, for they may hold marks."""
        for end in _END.finditer(self._held):
            body = self._held[: end.start()]
            if self._call(body) or not self._recipient:
                self._held = self._held[end.start() :]
                self._held = (
                    _CLOSING.sub("", self._held, count=1) if _CLOSING.match(self._held) else self._held
                )
                return self._message(body)
        return None

    def _message(self, body: str) -> tuple[str, list[ParsedCall]]:
        if self._recipient:
            call = self._call(body)
            return "", [call] if call and not self._is_builtin else []
        return ("" if self._is("analysis") else body), []

    def _call(self, body: str) -> ParsedCall | None:
        if self._is_builtin:
            return ParsedCall(self._recipient, "{}")
        try:
            given = jsontext.loads(body.strip().encode() or b"{}")
        except (ValueError, RecursionError):
            return None
        return parsed_call(self._recipient, given) if isinstance(given, dict) else None

    @property
    def _recipient(self) -> str:
        found = _TO.search(self._header or "")
        return found[2] if found else ""

    @property
    def _is_builtin(self) -> bool:
        """Meant for a tool that gpt-oss was trained with, which nobody here offers."""
        found = _TO.search(self._header or "")
        return bool(found and not found[1])

    def _is(self, channel: str) -> bool:
        return channel in (self._header or "").partition(" ")[0]


def parser(tools: Tools) -> _Parser:
    return _Parser()

"""How models write that they want functions called: one format a file.

A module in this folder is a format. It offers

    FAMILIES    families of cards whose models write it
    MARK        what in a chat template tells that its model does
    SHOWN       the control tokens that the parser has to see
    ALWAYS      whether answers without calls need the parser too
    parser(tools) -> CallParser
                takes the answer as it arrives apart, given each tool's parameters (a JSON schema) by name

`BlockParser` is all that most need.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from localrl import jsontext
from localrl.registry import Registry
from localrl.thinking import held_back

if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[str], "list[ParsedCall] | None"]

Tools = dict[str, dict[str, Any]]
"""The schema of each tool's parameters, by name."""


@dataclass(frozen=True, slots=True)
class ParsedCall:
    name: str
    arguments: str
    """A JSON object, as text."""
    id: str = field(default_factory=lambda: f"call_{secrets.token_hex(12)}")


def parsed_call(name: str, arguments: dict[str, Any]) -> ParsedCall:
    return ParsedCall(name, jsontext.dumps(arguments))


class CallParser(Protocol):
    """One answer, in pieces of any size."""

    def feed(self, text: str) -> tuple[str, list[ParsedCall]]:
        """What is clear by now: text for the reader, and whole calls."""

    def end(self) -> tuple[str, list[ParsedCall]]:
        """What was held back."""


class CallFormat(Protocol):
    """The contract of a format's module."""

    FAMILIES: tuple[str, ...]
    MARK: str
    SHOWN: str
    ALWAYS: bool

    def parser(self, tools: Tools) -> CallParser: ...


FORMATS: Registry[CallFormat] = Registry(
    kind="call format",
    package=__name__,
    group="localrl.calls",
    contract={
        "FAMILIES": "families of cards whose models write it",
        "MARK": "what in a chat template tells of it",
        "SHOWN": "the control tokens that its parser has to see",
        "ALWAYS": "whether answers without calls need the parser too",
        "parser": "a function from tools to a CallParser",
    },
)


def format_of(family: str, template: str) -> CallFormat | None:
    """How a model writes calls: by its template, which it was trained with, else by its card's family."""
    formats = list(FORMATS.usable().values())
    told = [each for each in formats if each.MARK in template]
    return next(iter([*told, *(each for each in formats if family in each.FAMILIES)]), None)


def shown() -> str:
    """The control tokens of all formats."""
    return "".join(each.SHOWN for each in FORMATS.usable().values())


class BlockParser:
    """Calls in blocks between two marks.

    A closing mark inside of an argument does not end a block: one ends where it can be read. One that cannot
    be read at all is left out: it is no answer.
    """

    def __init__(self, opens: tuple[str, ...], closes: str, read: Read, repair: Read | None = None) -> None:
        """
        Args:
            opens: marks with which a block begins.
            read: the calls in a block without its closing mark; None where that is not a whole one.
            repair: the same of what is left at the end.
        """
        self._opens, self._closes = opens, closes
        self._read, self._repair = read, repair or read
        self._held = ""
        self._inside = self._called = False

    def feed(self, text: str) -> tuple[str, list[ParsedCall]]:
        self._held += text
        said, calls = "", list[ParsedCall]()
        while True:
            if not self._inside:
                starts = [at for mark in self._opens if (at := self._held.find(mark)) >= 0]
                if not starts:
                    keep = self._uncertain(self._held)
                    said += self._held[: len(self._held) - keep]
                    self._held = self._held[len(self._held) - keep :]
                    break
                said += self._held[: min(starts)].rstrip()
                self._inside, self._held = True, self._held[min(starts) :]
            read = self._whole_block()
            if read is None:
                break
            calls += read
            self._inside, self._called = False, True
        return (said if not self._called or said.strip() else ""), calls

    def end(self) -> tuple[str, list[ParsedCall]]:
        held, self._held = self._held, ""
        if not self._inside:
            return ("" if self._called and not held.strip() else held), []
        self._inside = False
        return "", self._repair(held.strip().removesuffix(self._closes)) or []

    def _uncertain(self, text: str) -> int:
        """Characters at the end that may be part of a mark, or white space before one."""
        keep = held_back(text, self._opens)
        rest = text[: len(text) - keep]
        return keep + len(rest) - len(rest.rstrip())

    def _whole_block(self) -> list[ParsedCall] | None:
        at = self._held.find(self._closes)
        while at >= 0:
            if (read := self._read(self._held[:at])) is not None:
                self._held = self._held[at + len(self._closes) :]
                return read
            at = self._held.find(self._closes, at + 1)
        return None

"""The bytes of each token of a Hugging Face tokenizer, so that texts can be put together as they arrive."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from localrl.chat import ThinkingTags

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = "▁"


class TokenBytes:
    """Token to bytes; special tokens are empty, except those in the thinking tags and in `shown`."""

    def __init__(self, tokenizer: Any, tags: ThinkingTags | None, shown: str = "") -> None:
        self._tokenizer = tokenizer
        self._added = dict(tokenizer.added_tokens_decoder.items())
        shown += tags.open + tags.close if tags else ""
        visible = set(tokenizer.encode(shown, add_special_tokens=False))
        self._hidden = {number for number, token in self._added.items() if token.special} - visible
        self._hidden |= set(tokenizer.all_special_ids) - visible
        kinds = decoder_kinds(tokenizer)
        self._bytes = byte_values() if "ByteLevel" in kinds else None
        self._sentencepiece = "Replace" in kinds or "Metaspace" in kinds
        self._known: dict[int, bytes] = {}

    def __getitem__(self, number: int) -> bytes:
        found = self._known.get(number)
        if found is None:
            found = self._known[number] = self._make(number)
        return found

    def name(self, number: int) -> bytes:
        """The text that stands for a special token in templates."""
        return str(self._tokenizer.convert_ids_to_tokens(number) or "").encode()

    def _make(self, number: int) -> bytes:
        if number in self._hidden:
            return b""
        if number in self._added:
            return str(self._added[number].content).encode()
        token = self._tokenizer.convert_ids_to_tokens(number)
        if token is None:
            return b""
        if self._bytes is not None and all(character in self._bytes for character in token):
            return bytes(self._bytes[character] for character in token)
        if self._sentencepiece:
            if found := _BYTE.fullmatch(token):
                return bytes([int(found[1], 16)])
            return str(token).replace(_SPACE, " ").encode()
        return str(self._tokenizer.decode([number])).encode()


def decoder_kinds(tokenizer: Any) -> set[str]:
    """The types of the steps by which the tokenizer decodes, such as ByteLevel or Metaspace."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    decoder = json.loads(backend.to_str()).get("decoder") if backend is not None else None
    steps = [decoder or {}, *(decoder or {}).get("decoders", [])]
    return {step["type"] for step in steps if "type" in step}


def byte_values() -> dict[str, int]:
    """GPT-2's printable stand-ins for bytes: printable Latin-1 is itself, the others begin at U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}

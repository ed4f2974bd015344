"""A Hugging Face tokenizer as mlx-lm loads it: text to tokens and back, without the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localrl.catalog import template
from localrl.engine.backends.mlx.token_bytes import TokenBytes
from localrl.engine.prompts import PromptEncoder

if TYPE_CHECKING:
    from localrl.engine.protocol import EngineSettings


class HfVocabulary:
    """A `Vocabulary` over one that mlx-lm loaded."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._bytes = TokenBytes(tokenizer, None)
        self.bos, self.eos = tokenizer.bos_token or "", tokenizer.eos_token or ""
        bos = tokenizer.bos_token_id
        self.first = bos if bos is not None and self.tokenize("", ends=True)[:1] == [bos] else None

    def tokenize(self, text: str, *, ends: bool = False, control: bool = False) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=ends, split_special_tokens=not control))

    def piece(self, token: int, *, control: bool = True) -> bytes:
        return self._bytes[token] or (self._bytes.name(token) if control else b"")


def encoder(tokenizer: Any, settings: EngineSettings) -> PromptEncoder:
    own = template.default(tokenizer.chat_template)
    return PromptEncoder(settings.template(own), HfVocabulary(tokenizer))

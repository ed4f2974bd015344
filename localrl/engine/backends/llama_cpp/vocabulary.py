"""A GGUF file's vocabulary as llama.cpp reads it: text to tokens and back, without the weights."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import llama_cpp as lib

from localrl.engine.backends.llama_cpp import library
from localrl.errors import LocalrlError

if TYPE_CHECKING:
    from pathlib import Path


def of_file(path: Path) -> tuple[LlamaVocabulary, str]:
    """The vocabulary and the chat template of a `.gguf` file, without its weights.

    Raises:
        UsageError: it is no model that llama.cpp can load.
    """
    header = library.begin(path)
    params = lib.llama_model_default_params()
    params.vocab_only = True
    return LlamaVocabulary(library.load_model(str(path), params)), header.chat_template


class LlamaVocabulary:
    """Of a loaded model, and valid as long as that is; a `prompts.Vocabulary`."""

    def __init__(self, model: Any) -> None:
        self.pointer = lib.llama_model_get_vocab(model)
        self.size = int(lib.llama_vocab_n_tokens(self.pointer))
        self.bos = self._text_of(lib.llama_vocab_bos)
        self.eos = self._text_of(lib.llama_vocab_eos)
        bos = int(lib.llama_vocab_bos(self.pointer))
        self.first = bos if bos >= 0 and lib.llama_vocab_get_add_bos(self.pointer) else None

    def tokenize(self, text: str, *, ends: bool = False, control: bool = False) -> list[int]:
        raw = text.encode("utf-8", errors="replace")
        size = len(raw) + 8
        tokens = (lib.llama_token * size)()
        count = lib.llama_tokenize(self.pointer, raw, len(raw), tokens, size, ends, control)
        if count < 0:
            raise LocalrlError(f"a text of {len(text)} characters could not be split into tokens")
        return list(tokens[:count])

    def piece(self, token: int, *, control: bool = True) -> bytes:
        buffer = ctypes.create_string_buffer(64)
        size = lib.llama_token_to_piece(self.pointer, token, buffer, len(buffer), 0, control)
        if size < 0:
            buffer = ctypes.create_string_buffer(-size)
            size = lib.llama_token_to_piece(self.pointer, token, buffer, len(buffer), 0, control)
        return buffer.raw[:size]

    def ends(self) -> set[int]:
        """Tokens that end a text."""
        return {token for token in range(self.size) if lib.llama_vocab_is_eog(self.pointer, token)}

    def _text_of(self, which: Any) -> str:
        token = which(self.pointer)
        return self.piece(token).decode("utf-8", errors="replace") if token >= 0 else ""

"""Texts that follow a grammar: llama.cpp's grammars over our sampler.

A token is drawn as ever and held against the grammar; only where that forbids it, all tokens are, and one of
those that are left is drawn. Thinking is free.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import llama_cpp as lib
import numpy as np

from localrl.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from localrl.engine.backends.llama_cpp.sampler import Candidates, Sampler
    from localrl.engine.protocol import Grammar
    from localrl.engine.stream import Stream

MOST_CHARACTERS = 200_000
"""Of a grammar."""


def compiled(grammar: Grammar, vocabulary: Any) -> Any:
    """llama.cpp's sampler of a grammar; whoever has it frees it.

    Raises:
        UsageError: it is no grammar, or no schema that becomes one.
    """
    text = _from_schema(grammar.text) if grammar.kind == "json_schema" else grammar.text
    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"a grammar of {len(text):,} characters is too long")
    sampler = lib.llama_sampler_init_grammar(vocabulary, text.encode(), b"root")
    if not sampler:
        raise UsageError("llama.cpp cannot read the grammar")
    return sampler


def _from_schema(schema: str) -> str:
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        return str(json_schema_to_gbnf(schema))
    except Exception as error:
        raise UsageError(f"the schema cannot be made a grammar: {type(error).__name__}: {error}") from error


class ConstrainedSampler:
    """A sampler whose answer follows a grammar; `close` frees both."""

    def __init__(
        self, sampler: Sampler, grammar: Any, stream: Stream, candidates: Candidates, device: Any
    ) -> None:
        """
        Args:
            grammar: of `compiled`.
            stream: tells whether the next token is thinking.
            device: tells bytes and ends of tokens.
        """
        self._sampler, self._grammar = sampler, grammar
        self._stream, self._candidates, self._device = stream, candidates, device

    def draw(self, logits: NDArray[np.float32]) -> int:
        """The next token, from the logits of the whole vocabulary."""
        token = self._sampler.draw(logits)
        if self._stream.thinks_with(self._device.token_bytes(token)):
            return token
        if not self._allowed(np.array([token]), logits)[0]:
            everything = self._candidates.tokens
            left = np.where(self._allowed(everything, logits), logits, np.float32(-np.inf))
            token = self._sampler.draw(left)
        if not self._device.is_end(token):
            lib.llama_sampler_accept(self._grammar, token)
        return token

    def close(self) -> None:
        self._sampler.close()
        lib.llama_sampler_free(self._grammar)

    def _allowed(self, ids: NDArray[np.intp], logits: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which tokens the grammar lets follow."""
        array = self._candidates.filled(ids, np.zeros(len(ids), np.float32))
        lib.llama_sampler_apply(self._grammar, ctypes.byref(array))
        allowed: NDArray[np.bool_] = np.isfinite(self._candidates.logits(len(ids)))
        return allowed

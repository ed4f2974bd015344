"""The tokens of one forward pass, as llama.cpp takes them."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import llama_cpp as lib
import numpy as np

if TYPE_CHECKING:
    from localrl.engine.device import Batch


class BatchArrays:
    """A `llama_batch` whose arrays are numpy's, so that filling it costs no call per token."""

    def __init__(self, size: int) -> None:
        self._tokens = np.zeros(size, np.int32)
        self._positions = np.zeros(size, np.int32)
        self._counts = np.ones(size, np.int32)
        self._sequences = np.zeros(size, np.int32)
        self._logits = np.zeros(size, np.int8)
        self.places = np.zeros(size, np.int32)
        """Where each row of the last batch stood, if it was ordered by slot."""
        # One pointer a token into the array of sequences: every token belongs to exactly one.
        self._pointers = (self._sequences.ctypes.data + 4 * np.arange(size)).astype(np.uintp)
        self._batch = lib.llama_batch(
            0,
            self._tokens.ctypes.data_as(ctypes.POINTER(lib.llama_token)),
            None,
            self._positions.ctypes.data_as(ctypes.POINTER(lib.llama_pos)),
            self._counts.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            ctypes.cast(self._pointers.ctypes.data, ctypes.POINTER(ctypes.POINTER(lib.llama_seq_id))),
            self._logits.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def fill(self, batch: Batch, by_slot: bool = False) -> Any:
        """The batch, ordered by slots where sequences have some: one pass then takes neighbours together."""
        count = len(batch.tokens)
        self._tokens[:count] = batch.tokens
        self._positions[:count] = batch.positions
        self._sequences[:count] = batch.sequences
        self._logits[:count] = 0
        self._logits[batch.outputs] = 1
        if by_slot:
            order = np.argsort(self._sequences[:count], kind="stable")
            for values in (self._tokens, self._positions, self._sequences, self._logits):
                values[:count] = values[order]
            self.places[order] = np.arange(count)
        self._batch.n_tokens = count
        return self._batch

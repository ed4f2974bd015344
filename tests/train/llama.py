"""llama.cpp through llama-cpp-python's own high-level class: the judge of what a trainer computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llama_cpp import Llama

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

F32 = 0
"""ggml's number of the type: cells are not rounded, as the trainer's are not."""


def logprobs_of(
    model: Path, prompt: Sequence[int], tokens: Sequence[int], adapter: Path | None = None
) -> Any:
    """The log-probability of each of the tokens behind the prompt: (T,)."""
    llama = Llama(
        str(model),
        lora_path=str(adapter) if adapter else None,
        logits_all=True,
        n_ctx=256,
        n_threads=1,
        type_k=F32,
        type_v=F32,
        verbose=False,
    )
    try:
        llama.eval([*prompt, *tokens])
        logits = np.array(llama.scores[len(prompt) - 1 : len(prompt) + len(tokens) - 1], np.float64)
    finally:
        llama.close()
    chosen = logits[np.arange(len(tokens)), tokens]
    return chosen - np.logaddexp.reduce(logits, axis=1)

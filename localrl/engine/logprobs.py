"""How likely a model finds tokens, from its logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from localrl.engine.protocol import TokenLogprob

if TYPE_CHECKING:
    from numpy.typing import NDArray


def of_token(logits: NDArray[np.float32], token: int, top: int) -> TokenLogprob:
    """The log-probability of a token and the `top` likeliest, by log-softmax of `logits` (vocabulary,)."""
    relative = logits - logits.max()
    normaliser = np.log(np.exp(relative).sum())
    best = np.argpartition(-logits, top - 1)[:top] if 0 < top < len(logits) else np.arange(len(logits))[:top]
    best = best[np.argsort(-logits[best], kind="stable")]
    return TokenLogprob(
        token,
        float(relative[token] - normaliser),
        tuple((int(each), float(relative[each] - normaliser)) for each in best),
    )

"""Log-probabilities of drawn tokens from the last hidden states, without ever holding all logits.

A vocabulary of 152,000 entries times 4,096 tokens is 2.3 GiB of logits, and as much again for their gradient.
Here the output layer is computed in slices of the vocabulary, in the forward pass and again in the backward
pass, as cut cross-entropy (arXiv 2411.09009) does; always in float32, for a logit of 20 rounded to bfloat16
makes a probability wrong by a factor of up to 1.06.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from localrl.train.torch.weights import Weight

SLICE = 8192
"""Vocabulary entries at a time."""


def token_logprobs(hidden: Tensor, output: Weight, targets: Tensor) -> tuple[Tensor, Tensor]:
    """
    Args:
        hidden: (N, embedding), normalised.
        output: (vocabulary, embedding), frozen.
        targets: (N,) token ids.

    Returns:
        The log-softmax at the targets, (N,), which can be differentiated by `hidden`, and the entropy of each
        distribution in nats, (N,), which cannot.
    """
    found: tuple[Tensor, Tensor] = _TokenLogprobs.apply(hidden.float(), output, targets)
    return found


class _TokenLogprobs(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, output: Weight, targets: Tensor) -> tuple[Tensor, Tensor]:
        normaliser = torch.full_like(hidden[:, 0], -torch.inf)
        """log of the sum of exp(logits) so far."""
        mean = torch.zeros_like(normaliser)
        """of the logits so far, weighted by their probabilities."""
        chosen = torch.zeros_like(normaliser)
        for begin, weight in _slices(output):
            logits = hidden @ weight.T
            here = (targets >= begin) & (targets < begin + len(weight))
            chosen[here] = logits[here, targets[here] - begin]
            part = logits.logsumexp(-1)
            total = torch.logaddexp(normaliser, part)
            part_mean = (logits.sub(part[:, None]).exp_() * logits).sum(-1)
            mean = mean * (normaliser - total).exp() + part_mean * (part - total).exp()
            normaliser = total
        ctx.save_for_backward(hidden, targets, normaliser)
        ctx.output = output
        entropy = normaliser - mean
        ctx.mark_non_differentiable(entropy)
        return chosen - normaliser, entropy

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        """d log p(t) / d logits = onehot(t) - p."""
        hidden, targets, normaliser = ctx.saved_tensors
        result = torch.zeros_like(hidden)
        for begin, weight in _slices(ctx.output):
            slope = (hidden @ weight.T).sub_(normaliser[:, None]).exp_().mul_(-gradient[:, None])
            here = ((targets >= begin) & (targets < begin + len(weight))).nonzero()[:, 0]
            slope[here, targets[here] - begin] += gradient[here]
            result += slope @ weight
        return result, None, None


def _slices(output: Weight) -> Iterator[tuple[int, Tensor]]:
    """Where each slice begins, and its rows in float32."""
    for begin in range(0, output.shape[0], SLICE):
        yield begin, output.dense(slice(begin, begin + SLICE)).float()

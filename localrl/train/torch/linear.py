"""A frozen linear layer with a low-rank adapter beside it: y = x W' + bias + (alpha / rank) x A' B'.

LoRA (arXiv 2106.09685, section 4.1). The frozen weights are dequantised in the forward pass and again in the
backward pass, as QLoRA (arXiv 2305.14314, section 3) does, so no dense copy of them outlives its use.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from localrl.train.torch.weights import Weight


class LoraLinear:
    """One linear layer of a block. What is trained: `a` (rank, inputs) and `b` (outputs, rank), float32."""

    def __init__(
        self, weight: Weight, bias: Tensor | None, rank: int, scale: float, random: torch.Generator
    ) -> None:
        """
        Args:
            scale: alpha / rank.
            random: for `a`, uniform as PEFT begins; `b` is 0, so the adapter begins without effect.
        """
        outputs, inputs = weight.shape
        bound = math.sqrt(1 / inputs)  # kaiming_uniform_ with a = sqrt(5)
        self._weight, self._bias, self._scale = weight, bias, scale
        self.a = torch.empty(rank, inputs).uniform_(-bound, bound, generator=random)
        self.b = torch.zeros(outputs, rank)

    def __call__(self, x: Tensor, adapted: bool) -> Tensor:
        """(N, inputs) -> (N, outputs); without the adapter where not `adapted`."""
        y = _Frozen.apply(x, self._weight)
        if self._bias is not None:
            y = y + self._bias.to(y.dtype)
        if not adapted:
            return y
        return y + (x @ self.a.to(x.dtype).T) @ (self.b.to(x.dtype) * self._scale).T

    def to(self, device: torch.device) -> None:
        """Move what is trained, once, before anything is computed."""
        self.a = self.a.to(device).requires_grad_()
        self.b = self.b.to(device).requires_grad_()


class _Frozen(torch.autograd.Function):  # type: ignore[misc]
    """x W' that keeps neither x nor a dense W for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Weight) -> Tensor:
        ctx.weight = weight
        return x @ weight.dense().T

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient @ ctx.weight.dense(), None

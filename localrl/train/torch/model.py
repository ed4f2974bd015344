"""The forward pass of a llama-like decoder over a `Pass`, with a low-rank adapter on every linear layer.

It computes what llama.cpp computes for the architectures `llama`, `qwen2` and `qwen3`, in the file's own
order of rows, so an adapter needs no conversion on its way to the engine. Residuals and norms are float32,
matrix products of the compute type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from localrl.train.architecture import LINEAR
from localrl.train.torch.linear import LoraLinear
from localrl.train.torch.output import token_logprobs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from localrl.train.architecture import Architecture
    from localrl.train.passes import GroupPlace, Pass
    from localrl.train.torch.weights import Weight


class PolicyModel:
    """Frozen weights and the adapter."""

    def __init__(
        self,
        architecture: Architecture,
        weights: Mapping[str, Weight],
        device: torch.device,
        dtype: torch.dtype,
        *,
        rank: int,
        scale: float,
        seed: int,
    ) -> None:
        """
        Args:
            dtype: of matrix products.
            scale: alpha / rank.
            seed: of the adapter's first values.
        """
        self.architecture, self.device, self.dtype = architecture, device, dtype
        random = torch.Generator().manual_seed(seed)
        self._embedding = weights["token_embd.weight"]
        self._output = weights.get("output.weight", self._embedding)
        self._last_norm = _vector(weights, "output_norm.weight")
        self.adapters: dict[str, LoraLinear] = {}
        self._blocks = []
        for layer in range(architecture.layers):
            linear = {}
            for name in LINEAR:
                tensor = f"blk.{layer}.{name}"
                bias = _vector(weights, f"{tensor}.bias")
                linear[name] = LoraLinear(weights[f"{tensor}.weight"], bias, rank, scale, random)
                linear[name].to(device)
                self.adapters[tensor] = linear[name]
            self._blocks.append(_Block(architecture, layer, linear, weights, dtype))
        self._frequencies = _frequencies(architecture, _vector(weights, "rope_freqs.weight")).to(device)

    @property
    def parameters(self) -> list[Tensor]:
        """What is trained, in the order of the file's layers."""
        return [values for adapter in self.adapters.values() for values in (adapter.a, adapter.b)]

    def logprobs(self, flat: Pass, *, adapted: bool = True, again: bool = False) -> tuple[Tensor, Tensor]:
        """Log-probability of each drawn token and the policy's entropy there, in nats: (M,) each.

        Args:
            adapted: False computes the weights without the adapter.
            again: compute each block's activations again in the backward pass instead of keeping them.
        """
        tokens, positions, predicting, targets = (
            torch.from_numpy(values).to(self.device)
            for values in (flat.tokens, flat.positions, flat.predicting, flat.targets)
        )
        angles = positions[:, None] * self._frequencies
        turn = (angles.cos()[:, None], angles.sin()[:, None])
        x = self._embedding.dense(tokens).float()
        for block in self._blocks:
            if again and torch.is_grad_enabled():
                x = checkpoint(block, x, turn, flat.groups, adapted, use_reentrant=False)
            else:
                x = block(x, turn, flat.groups, adapted)
        hidden = _norm(x[predicting], self._last_norm, self.architecture.norm_epsilon)
        return token_logprobs(hidden, self._output, targets)


class _Block:
    """One transformer block: (N, embedding) -> (N, embedding)."""

    def __init__(
        self,
        architecture: Architecture,
        layer: int,
        linear: Mapping[str, LoraLinear],
        weights: Mapping[str, Weight],
        dtype: torch.dtype,
    ) -> None:
        self._architecture, self._linear, self._dtype = architecture, linear, dtype
        names = ("attn_norm", "ffn_norm", "attn_q_norm", "attn_k_norm")
        self._norms = {name: _vector(weights, f"blk.{layer}.{name}.weight") for name in names}

    def __call__(
        self, x: Tensor, turn: tuple[Tensor, Tensor], groups: tuple[GroupPlace, ...], adapted: bool
    ) -> Tensor:
        x = x + self._attention(self._normed("attn_norm", x), turn, groups, adapted).float()
        return x + self._feed_forward(self._normed("ffn_norm", x), adapted).float()

    def _attention(
        self, x: Tensor, turn: tuple[Tensor, Tensor], groups: tuple[GroupPlace, ...], adapted: bool
    ) -> Tensor:
        q, k, v = (
            self._linear[name](x, adapted).unflatten(-1, (-1, self._architecture.head_size))
            for name in ("attn_q", "attn_k", "attn_v")
        )
        q, k = self._turned("attn_q_norm", q, turn), self._turned("attn_k_norm", k, turn)
        parts = [part for group in groups for part in _attend(q, k, v, group)]
        return self._linear["attn_output"](torch.cat(parts).flatten(1), adapted)

    def _feed_forward(self, x: Tensor, adapted: bool) -> Tensor:
        gate, up = self._linear["ffn_gate"](x, adapted), self._linear["ffn_up"](x, adapted)
        return self._linear["ffn_down"](functional.silu(gate) * up, adapted)

    def _turned(self, norm: str, heads: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """Queries or keys (N, heads, head size), normalised where the model does, turned by RoPE.

        The order of a head's values does not matter to attention as long as it is that of q and of k.
        """
        values = self._normed(norm, heads).float()
        if self._architecture.rope_of_neighbours:
            first, second = values[..., 0::2], values[..., 1::2]
        else:
            first, second = values.chunk(2, -1)
        cos, sin = turn
        return torch.cat([first * cos - second * sin, first * sin + second * cos], -1).to(heads.dtype)

    def _normed(self, name: str, x: Tensor) -> Tensor:
        scale = self._norms[name]
        if scale is None:
            return x
        return _norm(x, scale, self._architecture.norm_epsilon).to(self._dtype)


def _attend(q: Tensor, k: Tensor, v: Tensor, place: GroupPlace) -> list[Tensor]:
    """Attention within one group: of the prompt, then of the rollouts; (tokens, heads, head size) each."""
    prompt, own = place.prompt, place.own
    first = _scaled_dot(_heads_first(q[prompt]), _heads_first(k[prompt]), _heads_first(v[prompt]))
    found = [first.squeeze(0).transpose(0, 1)]
    if not place.shape[1]:
        return found
    count, longest = place.shape
    row, column = (torch.from_numpy(values).to(q.device) for values in (place.row, place.column))

    def padded(x: Tensor) -> Tensor:
        filled = x.new_zeros(count, longest, *x.shape[1:])
        return filled.index_put((row, column), x[own]).transpose(1, 2)

    def behind_prompt(x: Tensor) -> Tensor:
        return torch.cat([_heads_first(x[prompt]).expand(count, -1, -1, -1), padded(x)], 2)

    size = prompt.stop - prompt.start
    mask = torch.ones(longest, size + longest, dtype=torch.bool, device=q.device).tril(size)
    answers = _scaled_dot(padded(q), behind_prompt(k), behind_prompt(v), mask)
    return [*found, answers.transpose(1, 2)[row, column]]


def _heads_first(x: Tensor) -> Tensor:
    """(tokens, heads, size) -> (1, heads, tokens, size)."""
    return x.transpose(0, 1).unsqueeze(0)


def _scaled_dot(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention with fewer keys' heads than queries'; causal where there is no mask."""
    return functional.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=q.shape[1] != k.shape[1]
    )


def _norm(x: Tensor, scale: Tensor | None, epsilon: float) -> Tensor:
    """RMS norm over the last dimension, in float32."""
    return functional.rms_norm(x.float(), x.shape[-1:], scale, epsilon)


def _vector(weights: Mapping[str, Weight], name: str) -> Tensor | None:
    return weights[name].dense()[0] if name in weights else None


def _frequencies(architecture: Architecture, factors: Tensor | None) -> Tensor:
    """RoPE's angle a position for each pair of a head's values: (head size / 2,)."""
    exponents = torch.arange(0, architecture.head_size, 2, dtype=torch.float32) / architecture.head_size
    frequencies = architecture.rope_base**-exponents / architecture.rope_scale
    return frequencies if factors is None else frequencies / factors.to(frequencies.device)

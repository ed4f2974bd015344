"""How the next token is chosen, and how a sample gets its seed."""

from __future__ import annotations

import hashlib

from pydantic import Field

from localrl.tomlfile import Strict

PENALTIES = {"presence_penalty": 0.0, "frequency_penalty": 0.0, "repetition_penalty": 1.0}
"""Their names, and the values that change nothing."""


class Sampling(Strict):
    """The sampler's settings; order of the chain: penalties, top_k, top_p, min_p, temperature, draw.

    `top_k` 0, `top_p` 1 and `min_p` 0 switch the filter off; temperature 0 is greedy. Of the penalties,
    `repetition_penalty` divides the logits of tokens in the prompt and the text so far where they are
    positive and multiplies them where they are negative (arXiv 1909.05858); then `presence_penalty` is
    subtracted from those in the text, and `frequency_penalty` as often as they occur there (OpenAI's API).
    """

    temperature: float = Field(default=0.0, ge=0.0, le=10.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    top_k: int = Field(default=0, ge=0)
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    presence_penalty: float = Field(default=0.0, ge=-2.0, le=2.0)
    frequency_penalty: float = Field(default=0.0, ge=-2.0, le=2.0)
    repetition_penalty: float = Field(default=1.0, gt=0.0, le=10.0)
    max_tokens: int = Field(default=1024, ge=1)

    @property
    def penalises(self) -> bool:
        """Whether what was generated before changes the next token's chances."""
        return any(getattr(self, name) != neutral for name, neutral in PENALTIES.items())


def sample_seed(run_seed: int, eval_name: str, problem_id: str, index: int) -> int:
    """A 32-bit seed that depends on nothing but what is sampled, so one sample can be made again alone."""
    key = f"{run_seed}\0{eval_name}\0{problem_id}\0{index}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=4).digest(), "big")


def fork_seed(seed: int, budget: int) -> int:
    """The 32-bit seed with which a sample answers when its thinking is closed at a budget of tokens."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{budget}".encode(), digest_size=4).digest(), "big")

"""How the next token is chosen, and how a sample gets its seed."""

from __future__ import annotations

import hashlib

from pydantic import Field

from localrl.tomlfile import Strict


class Sampling(Strict):
    """The sampler's settings; order of the chain: top_k, top_p, min_p, temperature, draw.

    `top_k` 0, `top_p` 1 and `min_p` 0 switch the filter off; temperature 0 is greedy.
    """

    temperature: float = Field(default=0.0, ge=0.0, le=10.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    top_k: int = Field(default=0, ge=0)
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    max_tokens: int = Field(default=1024, ge=1)


def sample_seed(run_seed: int, eval_name: str, problem_id: str, index: int) -> int:
    """A 32-bit seed that depends on nothing but what is sampled, so one sample can be made again alone."""
    key = f"{run_seed}\0{eval_name}\0{problem_id}\0{index}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=4).digest(), "big")

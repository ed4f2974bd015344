"""A device whose model is a hash: the next token depends on every token of the sequence and on the seed.

It keeps real cell contents and refuses what a real device would refuse, so a scheduler that mixes up
sequences, skips a position or overfills the pool is caught, and preempted streams must give the same text.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from localrl.engine.protocol import GroupRequest, ModelInfo, TokenLogprob
from localrl.errors import LocalrlError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.engine.device import Batch
    from localrl.engine.protocol import Grammar
    from localrl.engine.stream import Stream
    from localrl.sampling import Sampling

END = 0
VOCABULARY = 97


class FakeDevice:
    def __init__(
        self,
        cells: int = 1000,
        sequences: int = 64,
        batch: int = 32,
        partial: bool = True,
        end_every: int = 40,
        idle: int = 50,
        stored: int = 1000,
        unified: bool = True,
    ) -> None:
        """A cache that is not `unified` has a slot for each sequence, all of the same length."""
        self.info = ModelInfo(backend="fake", version="0", context=cells)
        self.unified = unified
        self.most_streams = sequences - (8 if unified else 2)
        self.cells, self.max_sequences, self.batch_tokens = cells, sequences, batch
        self.longest = cells if unified else cells // sequences
        self.batch_outputs = sequences
        self.partial = partial
        self.state_bytes_per_token = 1
        self.idle_cells, self.offload_bytes = idle, stored
        self.sequences: dict[int, list[tuple[int, int]]] = {}
        """For each sequence its cells: (token, identity); shared cells keep their identity."""
        self.starts_thinking = False
        self.adapter: str | None = None
        self.computed = 0
        self.saves = 0
        self.samplers = 0
        self.batches: list[tuple[int, int]] = []
        """(rows with logits, all tokens) of every batch."""
        self._end_every = end_every
        self._next_cell = 0
        self._rows: dict[int, tuple[int, ...]] = {}

    def encode(self, group: GroupRequest) -> tuple[list[int], bool]:
        if group.prompt == "bad":
            raise LocalrlError("this prompt is refused")
        assert isinstance(group.prompt, tuple)
        return [token for token in group.prompt if isinstance(token, int)], self.starts_thinking

    def tokenize(self, text: str, *, ends: bool = False, control: bool = False) -> list[int]:
        return [1 + byte % (VOCABULARY - 1) for byte in text.encode()]

    def piece(self, token: int) -> bytes:
        return self.token_bytes(token)

    def token_bytes(self, token: int) -> bytes:
        return f"{token} ".encode()

    def is_end(self, token: int) -> bool:
        return token == END

    @property
    def used(self) -> int:
        return len({cell for cells in self.sequences.values() for _, cell in cells})

    def decode(self, batch: Batch) -> bool:
        assert 0 < len(batch.tokens) <= self.batch_tokens
        if self.used + len(batch.tokens) > self.cells:
            return False
        self._rows = {}
        outputs = set(batch.outputs)
        assert len(outputs) <= self.batch_outputs
        for row, (token, position, sequence) in enumerate(
            zip(batch.tokens, batch.positions, batch.sequences, strict=True)
        ):
            cells = self.sequences.setdefault(sequence, [])
            assert position == len(cells), "positions must be consecutive"
            assert position < self.longest
            self._next_cell += 1
            # A new list: shared beginnings must not grow with each other.
            self.sequences[sequence] = [*cells, (token, self._next_cell)]
            if row in outputs:
                self._rows[row] = tuple(token for token, _ in self.sequences[sequence])
        self.computed += len(batch.tokens)
        self.batches.append((len(outputs), len(batch.tokens)))
        return True

    def logits(self, row: int) -> Any:
        return self._rows[row]

    def logprob(self, logits: Any, token: int, top: int) -> TokenLogprob:
        return TokenLogprob(token, fake_logprob(logits, token))

    def sampler(self, sampling: Sampling, seed: int, prompt: Sequence[int], said: Sequence[int]) -> Any:
        self.samplers += 1
        return seed

    def constrained(self, sampler: Any, grammar: Grammar, stream: Stream) -> Any:
        raise AssertionError("nobody gives it a grammar")

    def free_sampler(self, sampler: Any) -> None:
        self.samplers -= 1

    def sample(self, sampler: Any, row: int) -> int:
        return self.sample_from(sampler, self._rows[row])

    def sample_from(self, sampler: Any, logits: Any) -> int:
        return next_token(logits, sampler, self._end_every, self.adapter)

    def share(self, source: int, target: int, tokens: int) -> None:
        assert not self.sequences.get(target)
        assert self.partial or tokens == len(self.sequences[source])
        assert tokens <= len(self.sequences[source])
        self.sequences[target] = self.sequences[source][:tokens]
        if not self.unified:
            self._copy(target)

    def _copy(self, sequence: int) -> None:
        """Give a sequence cells of its own."""
        tokens = [token for token, _ in self.sequences[sequence]]
        self._next_cell += len(tokens)
        self.sequences[sequence] = [(token, self._next_cell - i) for i, token in enumerate(tokens)]

    def truncate(self, sequence: int, tokens: int) -> None:
        assert self.partial
        assert tokens <= len(self.sequences[sequence])
        self.sequences[sequence] = self.sequences[sequence][:tokens]

    def remove(self, sequence: int) -> None:
        self.sequences.pop(sequence, None)

    def move(self, source: int, target: int) -> None:
        assert not self.unified, "a unified cache has no slots"
        assert not self.sequences.get(target)
        self.sequences[target] = self.sequences.pop(source)

    def replace_prefix(self, source: int, target: int, tokens: int) -> None:
        same, own = self.sequences[source][:tokens], self.sequences[target]
        assert [token for token, _ in same] == [token for token, _ in own[:tokens]]
        self.sequences[target] = same + own[tokens:]

    def save(self, sequence: int) -> Any:
        self.saves += 1
        return [(token, self.adapter) for token, _ in self.sequences[sequence]]

    def restore(self, sequence: int, state: Any) -> bool:
        if self.used + len(state) > self.cells:
            return False
        assert all(adapter == self.adapter for _, adapter in state), "computed with another adapter"
        self._next_cell += len(state)
        self.sequences[sequence] = [(token, self._next_cell - i) for i, (token, _) in enumerate(state)]
        return True

    def set_adapter(self, path: str | None) -> None:
        assert not any(self.sequences.values()), "cells of another adapter"
        self.adapter = path

    def peak_memory_bytes(self) -> int:
        return 0

    def close(self) -> None:
        self.sequences.clear()


def fake_logprob(tokens: tuple[int, ...], token: int) -> float:
    """It depends on every token before; a float that JSON carries."""
    return -int.from_bytes(hashlib.blake2b(repr((tokens, token)).encode(), digest_size=2).digest(), "big")


def next_token(tokens: tuple[int, ...], seed: int, end_every: int, adapter: str | None = None) -> int:
    model = (tokens, seed, adapter) if adapter else (tokens, seed)
    digest = hashlib.blake2b(repr(model).encode(), digest_size=8).digest()
    value = int.from_bytes(digest, "big")
    return END if value % end_every == 0 else 1 + value // end_every % (VOCABULARY - 1)


def expected(
    prompt: tuple[int, ...], seed: int, max_tokens: int, end_every: int = 40, adapter: str | None = None
) -> list[int]:
    """What one stream says when it has the device for itself."""
    tokens, said = list(prompt), list[int]()
    while len(said) < max_tokens:
        token = next_token(tuple(tokens), seed, end_every, adapter)
        if token == END:
            break
        said.append(token)
        tokens.append(token)
    return said

"""A loaded model with its KV cells, as the scheduler sees it: copy, compute, choose a token."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.engine.protocol import Grammar, GroupRequest, ModelInfo, TokenLogprob
    from localrl.engine.stream import Stream
    from localrl.sampling import Sampling


@dataclass(slots=True)
class Batch:
    """One forward pass: parallel lists, one entry a token."""

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    """Rows whose logits are wanted, ascending."""

    def add(self, tokens: Sequence[int], position: int, sequence: int, outputs: int) -> None:
        """Consecutive tokens of a sequence; logits are wanted of the last `outputs` of them."""
        self.tokens += tokens
        self.positions += range(position, position + len(tokens))
        self.sequences += [sequence] * len(tokens)
        self.outputs += range(len(self.tokens) - outputs, len(self.tokens))


class BatchDevice(Protocol):
    """A loaded model with its cells. Sequences are numbers; positions in one are consecutive from 0."""

    info: ModelInfo
    cells: int
    max_sequences: int
    most_streams: int
    """Sequences that may be streams; the others are for prompts."""
    unified: bool
    """Whether sequences share the cells; else each has a slot as long as `longest`, with its own number, and
    sharing copies."""
    batch_tokens: int
    """Most tokens in one forward pass."""
    batch_outputs: int
    """Most rows of logits in one forward pass; more than `most_streams`."""
    longest: int
    """Most tokens in one sequence."""
    partial: bool
    """Whether a prefix of a sequence can be shared; recurrent models can only copy a whole one."""
    state_bytes_per_token: int
    idle_cells: int
    """Cells that may hold what nobody computes on: every step looks at them, and more would slow it down."""
    offload_bytes: int
    """Host memory for prefixes that may be of use again."""

    def encode(self, group: GroupRequest) -> tuple[list[int], bool]:
        """The prompt's tokens, and whether it ends inside the thinking tags. Raises LocalrlError."""

    def tokenize(self, text: str, *, ends: bool = False, control: bool = False) -> list[int]: ...
    def piece(self, token: int) -> bytes: ...
    def token_bytes(self, token: int) -> bytes: ...
    def is_end(self, token: int) -> bool: ...
    def decode(self, batch: Batch) -> bool:
        """Compute; False when no cells were found, with nothing changed."""

    def logits(self, row: int) -> Any:
        """A copy of the logits of one output row, to be sampled from later."""

    def logprob(self, logits: Any, token: int, top: int) -> TokenLogprob:
        """How likely a token is by these logits, and which `top` tokens are likeliest."""

    def sampler(self, sampling: Sampling, seed: int, prompt: Sequence[int], said: Sequence[int]) -> Any:
        """What draws the tokens behind a prompt and what was said already."""

    def constrained(self, sampler: Any, grammar: Grammar, stream: Stream) -> Any:
        """The sampler with its answer held to a grammar; `encode` has refused those that make no sense."""

    def free_sampler(self, sampler: Any) -> None: ...
    def sample(self, sampler: Any, row: int) -> int: ...
    def sample_from(self, sampler: Any, logits: Any) -> int: ...
    def share(self, source: int, target: int, tokens: int) -> None:
        """Let the empty `target` begin with the first tokens of `source`."""

    def truncate(self, sequence: int, tokens: int) -> None:
        """Let a sequence end after its first tokens; asked for only where `partial`."""

    def remove(self, sequence: int) -> None: ...
    def move(self, source: int, target: int) -> None:
        """Put a whole sequence into an empty slot; asked for only where not `unified`."""

    def save(self, sequence: int) -> Any:
        """The cells of a sequence as bytes in host memory."""

    def restore(self, sequence: int, state: Any) -> bool:
        """Put saved cells back into an empty sequence; False when they found no room."""

    def replace_prefix(self, source: int, target: int, tokens: int) -> None:
        """Let `target` use the cells of `source` for its first tokens and free its own: they are the same."""

    def set_adapter(self, path: str | None) -> None:
        """As `protocol.Adaptable`; asked for only while no sequence has cells."""

    def peak_memory_bytes(self) -> int: ...
    def close(self) -> None: ...

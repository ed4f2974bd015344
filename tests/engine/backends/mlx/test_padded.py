"""A padded cache stays within its memory, and no sample's text depends on what ran beside it."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from localrl.chat import ThinkingControl, ThinkingTags
from localrl.engine.backends.mlx.padded import Drawn, PaddedScheduler
from localrl.engine.conformance import EventLog, run
from localrl.engine.protocol import (
    FinishReason,
    GroupRequest,
    Metrics,
    ModelInfo,
    SampleRequest,
    TokenLogprob,
)
from localrl.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Sequence

END = 0


def next_token(tokens: Sequence[int], seed: int) -> int:
    digest = hashlib.blake2b(repr((tuple(tokens), seed)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 97


class FakeRows:
    """The next token depends on every token before it, and the cache must hold just what it is said to."""

    def __init__(self, cells: int = 2000, cell_step: int = 8) -> None:
        self.info = ModelInfo("fake", "0", cells)
        self.cells, self.longest, self.cell_step, self.most_rows = cells, cells, cell_step, 16
        self.rows: dict[int, tuple[list[int], int, int]] = {}
        """Tokens, how many of them are computed, seed."""
        self.computed = self.most_cells = 0
        self._numbers = 0

    def encode(self, group: GroupRequest) -> tuple[list[int], bool]:
        return [token for token in group.prompt if isinstance(token, int)], False

    def tokenize(self, text: str, *, ends: bool = False, control: bool = False) -> list[int]:
        return [int(word) for word in text.split()]

    def piece(self, token: int) -> bytes:
        return self.token_bytes(token)

    def token_bytes(self, token: int) -> bytes:
        return f"{token} ".encode()

    def is_end(self, token: int) -> bool:
        return token == END

    def logprob(self, logits: Any, token: int, top: int) -> TokenLogprob:
        return TokenLogprob(token, -float(next_token([*logits, token], 0)))

    def prefill(self, cache: Any, tokens: Sequence[int], outputs: bool) -> tuple[Any, Sequence[Any]]:
        self.computed += len(tokens)
        computed = [*(cache or []), *tokens]
        return computed, [computed[: len(computed) - i] for i in reversed(range(len(tokens)))]

    def insert(self, tokens: list[int], known: int, cache: Any, sampler: Any) -> int:
        assert list(cache or []) == tokens[:known]
        self._numbers += 1
        self.rows[self._numbers] = (list(tokens), known, sampler)
        return self._numbers

    def detach(self, row: int) -> Any:
        return self.rows.pop(row)[0]

    def sampler(self, sampling: Sampling, seed: int, prompt: int, drawn: int) -> Any:
        return seed

    def next(self) -> tuple[int, list[Drawn]]:
        prefilled, drawn = 0, []
        for number, (tokens, known, seed) in list(self.rows.items()):
            if known < len(tokens) - 1:
                prefilled += len(tokens) - known
            token = next_token(tokens, seed)
            self.rows[number] = ([*tokens, token], len(tokens), seed)
            drawn.append(Drawn(number, token, tokens))
        self.computed += prefilled
        longest = max((len(tokens) - 1 for tokens, _, _ in self.rows.values()), default=0)
        steps = -(-longest // self.cell_step) * self.cell_step
        self.most_cells = max(self.most_cells, len(self.rows) * steps)
        return prefilled, drawn

    def remove(self, rows: list[int]) -> None:
        for row in rows:
            del self.rows[row]

    def peak_memory_bytes(self) -> int:
        return 0

    def close(self) -> None:
        assert not self.rows


def group(name: str, length: int, k: int, tokens: int) -> GroupRequest:
    dice = random.Random(name)
    prompt = tuple(dice.randrange(1, 97) for _ in range(length))
    samples = tuple(SampleRequest(f"{name}.{i}", dice.randrange(1 << 32)) for i in range(k))
    return GroupRequest(name, prompt, samples, Sampling(max_tokens=tokens), loop_guard=False)


def expected(group: GroupRequest, index: int) -> str:
    tokens = [token for token in group.prompt if isinstance(token, int)]
    said: list[int] = []
    while len(said) < group.sampling.max_tokens:
        token = next_token(tokens, group.samples[index].seed)
        if token == END:
            break
        said.append(token)
        tokens.append(token)
    return "".join(f"{token} " for token in said)


@pytest.mark.parametrize("cells", [160, 400, 5000])
def test_texts_do_not_depend_on_what_ran_beside_and_the_padding_fits(cells: int) -> None:
    dice = random.Random(cells)
    groups = [
        group(f"g{i}", dice.randrange(1, 60), dice.randrange(1, 6), dice.choice([3, 20, 60]))
        for i in range(25)
    ]
    rows = FakeRows(cells)
    backend = PaddedScheduler(rows, parallel=12)
    outcomes = run(backend, groups)
    backend.close()
    assert rows.most_cells <= cells
    for each in groups:
        for index, sample in enumerate(each.samples):
            assert outcomes[sample.id].text == expected(each, index)


def test_streams_of_similar_length_run_together() -> None:
    backend = PaddedScheduler(FakeRows(100_000), parallel=4)
    for i in range(8):
        backend.submit(group(f"{'short' if i % 2 else 'long'}{i}", 5, 1, 20 if i % 2 else 2000))
    outcomes = EventLog()
    for event in backend.step() + backend.step():
        outcomes.take(event)
    assert {name.rstrip("0123456789.") for name in outcomes} == {"long"}


def test_a_group_computes_its_prompt_once() -> None:
    rows = FakeRows()
    backend = PaddedScheduler(rows, parallel=8)
    outcomes = run(backend, [group("g", 40, 6, 5)])
    assert rows.computed < 2 * 40
    assert sorted(outcome.finished.shared_tokens for outcome in outcomes.values()) == [0, *([39] * 5)]


def test_a_row_that_fills_all_memory_ends_by_the_context() -> None:
    rows = FakeRows(64)
    endless = group("g", 10, 1, 10_000)
    backend = PaddedScheduler(rows, parallel=2)
    end = run(backend, [GroupRequest(**{**vars_of(endless), "ignore_end": True})])["g.0"]
    assert end.reason is FinishReason.CONTEXT
    assert rows.most_cells <= 64


def vars_of(group: GroupRequest) -> dict[str, Any]:
    return {name: getattr(group, name) for name in GroupRequest.__dataclass_fields__}


def test_metrics_say_how_many_are_preempted() -> None:
    backend = PaddedScheduler(FakeRows(160), parallel=8)
    for i in range(12):
        backend.submit(group(f"g{i}", 10, 1, 60))
    most = 0
    while backend.busy:
        metrics = [event for event in backend.step() if isinstance(event, Metrics)]
        most = max([most, *(each.preempted for each in metrics)])
    assert most > 0


def test_a_budget_lets_a_row_go_on_behind_the_closing_text() -> None:
    rows = FakeRows()
    tags = ThinkingTags(open="1 ", close="5 6 7 ", budget_message="5 6 7 ")
    asked = replace(group("g", 10, 3, 40), thinking=tags, control=ThinkingControl(budget=9))
    rows.encode = lambda group: ([token for token in asked.prompt if isinstance(token, int)], True)  # type: ignore[method-assign]
    backend = PaddedScheduler(rows, parallel=4)
    outcomes = run(backend, [asked])
    backend.close()
    for index, sample in enumerate(asked.samples):
        end, said = (
            outcomes[sample.id].finished,
            expected(replace(asked, sampling=Sampling(max_tokens=9)), index),
        )
        begun = [int(word) for word in f"{said}5 6 7".split()]
        going = replace(asked, prompt=(*asked.prompt, *begun), sampling=Sampling(max_tokens=31))
        assert end.text == f"{said}5 6 7 {expected(going, index)}"
        assert (end.closed, end.forced_tokens) == ("budget", 3)

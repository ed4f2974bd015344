"""The real library on the starter model: shared prompts, preemption, seeds, special tokens."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import llama_cpp
import numpy as np
import pytest
from scipy.special import log_softmax

from localrl.catalog.locate import locate
from localrl.chat import Message, ThinkingTags
from localrl.engine.backends.llama_cpp import accelerators
from localrl.engine.backends.llama_cpp.allocation import may_repack
from localrl.engine.backends.llama_cpp.device import LlamaDevice
from localrl.engine.device import Batch
from localrl.engine.kv_cache.cache import common_prefix
from localrl.engine.protocol import (
    EngineSettings,
    Finished,
    FinishReason,
    GroupRequest,
    SampleRequest,
    Started,
)
from localrl.engine.scheduler import Scheduler
from localrl.errors import Unavailable, UsageError
from localrl.sampling import Sampling
from tests.engine.tiny import write_gguf

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
on_processor = pytest.mark.skipif(
    bool(accelerators.usable()), reason="holds for a llama.cpp that computes on the processor"
)

WARM = Sampling(temperature=0.8, top_k=40, top_p=0.95, min_p=0.05, max_tokens=24)


def ask(name: str, text: str, k: int = 1, sampling: Sampling = WARM) -> GroupRequest:
    samples = tuple(SampleRequest(f"{name}.{i}", seed=i) for i in range(k))
    return GroupRequest(name, (Message(role="user", content=text),), samples, sampling)


def answers(
    groups: list[GroupRequest], parallel: int = 4, context: int = 2048
) -> tuple[dict[str, Finished], int]:
    """What the starter says, and the most streams that were preempted at once."""
    device = LlamaDevice(
        EngineSettings(model=str(locate("smollm2-135m").path), context=context, cache_type="f16")
    )
    scheduler = Scheduler(device, parallel)
    for group in groups:
        scheduler.submit(group)
    ends: dict[str, Finished] = {}
    preempted = 0
    while scheduler.busy:
        ends.update({e.sample: e for e in scheduler.step() if isinstance(e, Finished)})
        preempted = max(preempted, scheduler.metrics.preempted)
    scheduler.close()
    return ends, preempted


def agreement(a: str, b: str) -> int:
    return common_prefix([*map(ord, a)], [*map(ord, b)], min(len(a), len(b)))


def test_a_group_shares_one_prefill_and_its_samples_differ_by_seed() -> None:
    ends, _ = answers([ask("g", "Tell me a story about a fox.", k=4)])
    assert sorted(end.prompt_tokens - end.shared_tokens for end in ends.values())[:3] == [0, 0, 0]
    assert len({end.text for end in ends.values()}) == 4
    again, _ = answers([ask("g", "Tell me a story about a fox.", k=4)])
    assert {n: e.text for n, e in again.items()} == {n: e.text for n, e in ends.items()}


def test_streams_preempted_in_a_small_pool_all_end_by_themselves() -> None:
    greedy = Sampling(max_tokens=48)
    groups = [ask(f"g{i}", f"Tell me a long story about the number {i}.", sampling=greedy) for i in range(8)]
    large, none = answers(groups, parallel=8, context=4096)
    small, some = answers(groups, parallel=8, context=256)
    assert none == 0
    assert some > 0
    assert set(small) == set(large)
    assert all(e.reason in (FinishReason.STOP, FinishReason.LENGTH) for e in small.values())
    # Cells in another order are summed in another order, so texts part ways, but not at once.
    agreeing = [agreement(small[name].text, large[name].text) for name in large]
    assert sum(length >= 40 for length in agreeing) >= 6


@on_processor  # others compute a short talk again in less time than it takes to copy
def test_a_talk_that_rested_in_host_memory_goes_on_from_there() -> None:
    device = LlamaDevice(
        EngineSettings(model=str(locate("smollm2-135m").path), context=2048, cache_type="f16")
    )
    scheduler = Scheduler(device, 1)

    def turn(name: str, tokens: list[int]) -> Finished:
        prompt = tuple(tokens)
        scheduler.submit(GroupRequest(name, prompt, (SampleRequest(name, 0),), Sampling(max_tokens=24)))
        ends: list[Finished] = []
        while scheduler.busy:
            ends += [event for event in scheduler.step() if isinstance(event, Finished)]
        return ends[0]

    fox = device.encode(ask("a", "Tell me of a fox. " * 30))[0]
    crow = device.encode(ask("b", "What do crows eat? " * 30))[0]
    assert min(len(fox), len(crow)) > device.idle_cells
    new = crow[-20:]
    alone = turn("alone", [*fox, *new])
    turn("other", crow)
    back = turn("back", [*fox, *new])
    assert back.shared_tokens == len(fox) + len(new) - 1
    # A batch of another size is summed in another order: the texts agree, but not for ever.
    assert agreement(back.text, alone.text) > 20
    scheduler.close()


@on_processor  # others sum cells in another order where they lie in other places
def test_saved_cells_come_back_as_they_were() -> None:
    device = LlamaDevice(EngineSettings(model=str(locate("smollm2-135m").path), context=512))

    def logits(tokens: list[int], position: int, sequence: int) -> np.ndarray:
        batch = Batch()
        batch.add(tokens, position, sequence, outputs=1)
        assert device.decode(batch)
        row: np.ndarray = device.logits(len(tokens) - 1)
        return row

    tokens, _ = device.encode(ask("g", "Tell me a story about a fox."))
    last = int(logits(tokens, 0, 0).argmax())
    device.share(0, 1, len(tokens))
    state = device.save(1)
    device.remove(1)
    expected = logits([last], len(tokens), 0)
    assert device.restore(1, state)
    assert np.array_equal(logits([last], len(tokens), 1), expected)
    device.close()


def test_special_tokens_are_not_text_unless_they_are_the_thinking_tags() -> None:
    model = str(locate("smollm2-135m").path)
    plain = LlamaDevice(EngineSettings(model=model, context=256))
    tags = ThinkingTags(open="<|im_start|>", close="<|im_end|>")
    tagged = LlamaDevice(EngineSettings(model=model, context=256, tags=tags))
    (token,) = plain.tokenize("<|im_start|>", control=True)
    assert (plain.token_bytes(token), tagged.token_bytes(token)) == (b"", b"<|im_start|>")
    plain.close()
    tagged.close()


@pytest.mark.parametrize("content", [b"hello", b"GGUF" + bytes(100)])
def test_a_file_that_is_no_model_is_refused_before_llama_cpp_sees_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"model\.gguf"):
        LlamaDevice(EngineSettings(model=str(path)))


@on_processor
def test_the_log_says_what_is_loaded_in_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    LlamaDevice(EngineSettings(model=str(locate("smollm2-135m").path), context=256)).close()
    said = capsys.readouterr().err
    assert "general.architecture" in said
    assert "CPU compute buffer size" in said
    assert len(said) < 20_000


def test_a_refusal_says_why_llama_cpp_cannot_load_the_file(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf")
    path.write_bytes(path.read_bytes().replace(b"llama", b"lmama"))
    with pytest.raises(UsageError, match="unknown model architecture: 'lmama'"):
        LlamaDevice(EngineSettings(model=str(path), context=256))


@pytest.mark.parametrize(("feature", "allowed"), [(b"REPACK = 1", True), (b"AMX_INT8 = 1", False)])
def test_weights_are_not_repacked_for_kernels_that_crash(feature: bytes, allowed: bool) -> None:
    library = SimpleNamespace(llama_print_system_info=lambda: b"CPU : AVX2 = 1 | " + feature + b" | ")
    assert may_repack(library) is allowed


@on_processor
def test_a_context_larger_than_the_memory_is_refused_before_the_kernel_kills() -> None:
    settings = EngineSettings(model=str(locate("smollm2-135m").path), context=1_000_000_000)
    with pytest.raises(Unavailable, match=r"1,000,000,000 tokens of context need .* GiB.*--ctx"):
        LlamaDevice(settings)


def test_echoed_log_probabilities_are_those_of_llama_cpp_s_own_logits() -> None:
    path = str(locate("smollm2-135m").path)
    scheduler = Scheduler(LlamaDevice(EngineSettings(model=path, context=2048, cache_type="f16")), 2)
    sampling = Sampling(temperature=1.0, max_tokens=8)
    beside = ask("beside", "Tell me of a fox.", k=2, sampling=sampling)
    text = "The capital of France is Paris, and that of Italy is Rome. " * 8
    echo = GroupRequest("echo", text, (SampleRequest("echo", 1),), sampling, logprobs=3, echo=True)
    for group in (beside, echo):
        scheduler.submit(group)
    events = [event for _ in range(100) for event in scheduler.step()]
    scheduler.close()
    (prompt,) = (e.logprobs for e in events if isinstance(e, Started) and e.sample == "echo")
    (end,) = (e for e in events if isinstance(e, Finished) and e.sample == "echo")
    said = [*prompt, *end.logprobs]

    own = llama_cpp.Llama(path, n_ctx=512, logits_all=True, verbose=False)
    own.eval([token.id for token in said])
    expected = log_softmax(own.scores[: len(said)].astype(np.float64), axis=1)
    own.close()
    assert len(said) > 64
    off = [abs((token.logprob or 0) - expected[at, token.id]) for at, token in enumerate(said[1:])]
    off += [abs(token.top[0][1] - expected[at].max()) for at, token in enumerate(said[1:])]
    assert np.median(off) < 0.02  # quantised weights meet activations in batches of other sizes
    assert max(off) < 0.3

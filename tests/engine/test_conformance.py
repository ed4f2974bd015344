"""What every backend promises: each property of the protocol is one test, run against all of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from localrl.chat import Message, ThinkingTags
from localrl.engine.protocol import (
    EngineSettings,
    Finished,
    FinishReason,
    GroupRequest,
    Metrics,
    SampleRequest,
    Text,
)
from localrl.sampling import Sampling
from localrl.thinking import split
from tests.engine.backends.mlx.mlx_folder import convert
from tests.engine.subjects import (
    PATIENCE_S,
    Outcome,
    Server,
    Subject,
    collect,
    llama_server,
    mlx_server,
    run,
    take,
    write_script,
)
from tests.engine.tiny import write_gguf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCAL = ["scripted", "llama.cpp", "mlx"]
SERVED = ["server-llama-cpp-python", "server-mlx-lm"]
TAGS = ThinkingTags(open="<|assistant|>", close=".")
"""The tiny models' template ends in the opening tag, and they say the closing one soon."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One tiny model as a GGUF file and as an MLX folder."""
    folder = tmp_path_factory.mktemp("models")
    gguf = write_gguf(folder / "tiny.gguf")
    return gguf, convert(gguf, folder / "tiny-mlx")


@pytest.fixture(
    scope="module", params=[*LOCAL, *(pytest.param(name, marks=pytest.mark.slow) for name in SERVED)]
)
def subject(
    request: pytest.FixtureRequest, models: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    gguf, mlx = models
    folder = tmp_path_factory.mktemp("subject")
    server: Server | None = None
    if request.param == "scripted":
        script = write_script(folder / "script.json")
        yield Subject("scripted", EngineSettings("scripted", str(script)), templated=False)
    elif request.param == "llama.cpp":
        yield Subject("llama.cpp", EngineSettings("llama.cpp", str(gguf), context=2048))
    elif request.param == "mlx":
        yield Subject("mlx", EngineSettings("mlx", str(mlx), context=8192))
    else:
        llama = request.param == "server-llama-cpp-python"
        server = llama_server(gguf, folder / "log") if llama else mlx_server(mlx, folder / "log")
        try:
            server.wait()
            settings = EngineSettings("server", server.model, endpoints=(server.url,))
            # llama-cpp-python's server breaks the stream of a prompt that is too long.
            ending = FinishReason.ERROR if llama else None
            yield Subject(
                request.param, settings, counts=False, seeded=llama, templated=False, too_long=ending
            )
        finally:
            server.kill()


def group(name: str, k: int = 1, tokens: int = 24, temperature: float = 1.0, **more: object) -> GroupRequest:
    prompt = (Message(role="user", content="how much is it"),)
    samples = tuple(SampleRequest(f"{name}.{i}", 1 + 4 * i) for i in range(k))
    sampling = Sampling(temperature=temperature, max_tokens=tokens)
    return GroupRequest(name, prompt, samples, sampling, **more)  # type: ignore[arg-type]


def test_every_sample_starts_once_and_ends_once_and_its_texts_are_its_text(subject: Subject) -> None:
    with subject.open() as backend:
        outcomes = run(backend, [group("a", k=3), group("b", k=2), group("c")])
        assert not backend.busy
    assert sorted(outcomes) == ["a.0", "a.1", "a.2", "b.0", "b.1", "c.0"]
    for outcome in outcomes.values():
        assert outcome.starts == 1
        assert outcome.reason is FinishReason.LENGTH
        assert "".join(text.text for text in outcome.texts) == outcome.text
        assert outcome.text


def test_max_tokens_is_the_number_of_tokens_and_ends_with_length(subject: Subject) -> None:
    with subject.open() as backend:
        end = run(backend, [group("a", tokens=7)])["a.0"].finished
    assert (end.reason, end.thinking_tokens + end.answer_tokens) == (FinishReason.LENGTH, 7)


def test_samples_of_a_group_differ_and_a_seed_repeats_whatever_runs_beside(subject: Subject) -> None:
    with subject.open(parallel=8) as backend:
        alone = run(backend, [group("a")])["a.0"].text
        together = run(backend, [group("x", k=3, tokens=40), group("a"), group("y", k=2, temperature=0.0)])
    if subject.name != "scripted":
        assert len({together[f"x.{i}"].text for i in range(3)}) == 3
    assert (together["a.0"].text == alone) or not subject.seeded


def test_greedy_samples_of_one_prompt_are_equal(subject: Subject) -> None:
    with subject.open() as backend:
        outcomes = run(backend, [group("a", k=3, temperature=0.0)])
    assert len({outcome.text for outcome in outcomes.values()}) == 1


def test_a_stop_string_ends_the_answer_before_it(subject: Subject) -> None:
    with subject.open() as backend:
        outcomes = run(backend, [group("a", k=2, tokens=120, stop=(".",), loop_guard=False)])
    for outcome in outcomes.values():
        assert outcome.reason is FinishReason.STOP
        assert "." not in outcome.text
        assert "".join(text.text for text in outcome.texts) == outcome.text


def test_thinking_is_told_from_the_answer_in_text_and_figures(subject: Subject) -> None:
    with subject.open() as backend:
        samples = (SampleRequest("a.0", 0), SampleRequest("a.1", 4))
        prompt = GroupRequest(
            "a",
            (Message(role="user", content="think"),),
            samples,
            Sampling(temperature=1.0, max_tokens=120),
            thinking=TAGS,
            loop_guard=False,
        )
        outcomes = run(backend, [prompt])
    for outcome in outcomes.values():
        end = outcome.finished
        parts = split(end.text, TAGS, end.starts_thinking)
        assert parts.thinking
        assert parts.answer
        assert end.thinking_tokens > 0
        assert end.answer_tokens > 0
        if subject.templated:
            assert end.starts_thinking
        if subject.counts:
            for thinking, whole in ((True, parts.thinking), (False, parts.answer)):
                said = "".join(text.text for text in outcome.texts if text.thinking is thinking)
                assert said.strip() == whole.strip()


def test_a_text_without_end_is_stopped_by_the_loop_guard(subject: Subject) -> None:
    prompt = group("a", tokens=1800, temperature=0.0)
    if subject.name == "scripted":
        prompt = GroupRequest("a", "x", (SampleRequest("a.0", 3),), Sampling(max_tokens=1800))
    with subject.open() as backend:
        assert run(backend, [prompt])["a.0"].reason is FinishReason.LOOP


def test_a_cancelled_sample_ends_with_what_it_has_and_the_others_go_on(subject: Subject) -> None:
    with subject.open() as backend:
        backend.submit(group("a", k=2, tokens=600, loop_guard=False))
        backend.submit(group("b", k=2, tokens=600, loop_guard=False))
        speaking, ended = set[str](), set[str]()
        deadline = time.monotonic() + PATIENCE_S
        while "a.0" not in speaking:
            assert time.monotonic() < deadline
            for event in backend.step():
                if isinstance(event, Text):
                    speaking.add(event.sample)
                elif isinstance(event, Finished):  # the model may end a text after any token
                    ended.add(event.sample)
        backend.cancel("a.0")
        backend.cancel("b")
        backend.cancel("nobody")
        rest = collect_from(backend)
    assert rest["a.0"].reason is FinishReason.CANCELLED
    assert rest["a.0"].text
    assert {rest[name].reason for name in {"b.0", "b.1"} - ended} <= {FinishReason.CANCELLED}
    assert "a.1" in ended or rest["a.1"].reason in (FinishReason.LENGTH, FinishReason.STOP)


def collect_from(backend: object) -> dict[str, Finished]:
    """The ends of samples that had begun before."""
    ends: dict[str, Finished] = {}
    deadline = time.monotonic() + PATIENCE_S
    while backend.busy:  # type: ignore[attr-defined]
        assert time.monotonic() < deadline
        for event in backend.step():  # type: ignore[attr-defined]
            if isinstance(event, Finished):
                assert event.sample not in ends
                ends[event.sample] = event
    return ends


def test_what_waits_can_be_cancelled_before_it_begins(subject: Subject) -> None:
    with subject.open(parallel=1) as backend:
        backend.submit(group("a", tokens=20))
        backend.submit(group("b", k=2))
        backend.cancel("b.1")
        outcomes = collect(backend)
    assert outcomes["b.1"].reason is FinishReason.CANCELLED
    assert outcomes["b.0"].reason is FinishReason.LENGTH


def test_figures_are_those_of_the_samples(subject: Subject) -> None:
    with subject.open() as backend:
        for each in (group("a", k=3), group("b")):
            backend.submit(each)
        metrics = Metrics()
        outcomes: dict[str, Outcome] = {}
        while backend.busy:
            for event in backend.step():
                take(outcomes, event)
                metrics = event if isinstance(event, Metrics) else metrics
    ends = [outcome.finished for outcome in outcomes.values()]
    assert metrics.generated_tokens == sum(end.thinking_tokens + end.answer_tokens for end in ends)
    assert metrics.decode_s > 0
    assert metrics.running == metrics.waiting == 0
    for end in ends:
        assert end.prompt_tokens > 0
        assert end.ttft_s is not None
        assert end.ttft_s >= 0
        assert end.tokens_per_s is not None
        assert end.tokens_per_s > 0
    if subject.counts:
        assert metrics.prefill_tokens == sum(end.prompt_tokens - end.shared_tokens for end in ends)
        assert not any(end.estimated for end in ends)
        shared = sorted(outcomes[f"a.{i}"].finished.shared_tokens for i in range(3))
        assert shared[0] == 0
        assert shared[1] >= outcomes["a.0"].finished.prompt_tokens - 1


def test_no_more_streams_run_than_were_asked_for(subject: Subject) -> None:
    with subject.open(parallel=2) as backend:
        backend.submit(group("a", k=3))
        backend.submit(group("b", k=3))
        most = 0
        while backend.busy:
            for event in backend.step():
                most = max(most, event.running) if isinstance(event, Metrics) else most
    assert most <= 2


def test_a_prompt_that_cannot_run_is_refused_and_the_others_run(subject: Subject) -> None:
    long = GroupRequest("long", "a " * 9000, (SampleRequest("long.0", 1),), Sampling(max_tokens=5))
    with subject.open() as backend:
        outcomes = run(backend, [*([long] if subject.too_long else []), group("b")])
    if subject.too_long:
        assert outcomes["long.0"].reason is subject.too_long
        assert outcomes["long.0"].finished.error
    assert outcomes["b.0"].reason is FinishReason.LENGTH


def test_a_prompt_may_be_raw_text(subject: Subject) -> None:
    raw = GroupRequest("raw", "ab cd", (SampleRequest("raw.0", 1),), Sampling(temperature=1.0, max_tokens=9))
    with subject.open() as backend:
        assert run(backend, [raw])["raw.0"].reason is FinishReason.LENGTH


def test_closing_with_streams_running_returns(subject: Subject) -> None:
    with subject.open() as backend:
        backend.submit(group("a", k=4, tokens=200))
        for _ in range(20):
            backend.step()


def test_it_says_what_it_is(subject: Subject) -> None:
    with subject.open() as backend:
        info = backend.info
    assert info.backend == subject.settings.backend
    assert info.version

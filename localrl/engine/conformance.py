"""What every backend promises, as tests that pytest collects: run them against a backend of your own.

    class TestMyBackend(BackendConformance):
        @pytest.fixture
        def subject(self) -> Subject:
            return Subject(EngineSettings("my-backend", "path/of/a/small/model"))

`MustDo` holds what no backend is let off, `MayDecline` what one may declare in its `CANNOT` that it does not
do. See docs/backends.md.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from localrl.chat import Message, ThinkingControl, ThinkingTags
from localrl.engine.backends import BACKENDS, Ability
from localrl.engine.protocol import (
    EngineSettings,
    Event,
    Finished,
    FinishReason,
    Grammar,
    GroupRequest,
    Metrics,
    SampleRequest,
    Started,
    Text,
    Thought,
    TokenLogprob,
)
from localrl.sampling import Sampling, fork_seed
from localrl.thinking import split

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from localrl.engine.protocol import Backend, Tokenizer

NOISE = 0.05
"""Between log-probabilities of the same token in batches of different sizes."""
PATIENCE_S = 180.0
"""Far more than anything takes, for a machine that is busy with other things."""


@dataclass(frozen=True)
class Subject:
    """One backend under test, with a model that goes on for 600 tokens and repeats itself when greedy."""

    settings: EngineSettings
    cannot: frozenset[Ability] = frozenset()
    """What this model or server cannot do beyond the backend's own `CANNOT`."""
    stop: str = "."
    """A string that the model says within 120 tokens at temperature 1."""
    tags: ThinkingTags = field(default_factory=lambda: ThinkingTags(open="<|assistant|>", close="."))
    """Thinking tags: the model says the closing one as soon, and its prompts may end in the opening one."""
    thinks_on: ThinkingTags = field(
        default_factory=lambda: ThinkingTags(open="<|assistant|>", close="<|over|>")
    )
    """The same with a closing tag that the model never says."""
    endless_seed: int = 3
    """With it the model repeats itself at temperature 0."""

    @contextlib.contextmanager
    def open(self, **settings: Any) -> Iterator[Backend]:
        """The backend with 4 streams, or with other settings."""
        wanted = replace(self.settings, **{"parallel": 4, **settings})
        backend = BACKENDS.get(wanted.backend).load(wanted)
        try:
            yield backend
        finally:
            backend.close()

    def can(self, ability: Ability) -> bool:
        return ability not in (*self.cannot, *BACKENDS.get(self.settings.backend).CANNOT)

    def needs(self, ability: Ability) -> None:
        """Skip the test where the backend has declared that it cannot."""
        import pytest

        if not self.can(ability):
            pytest.skip(f"it cannot {ability}")


@dataclass
class SampleEvents:
    """All events of one sample."""

    starts: int = 0
    prompt: tuple[TokenLogprob, ...] = ()
    """Where the group asked for `echo`."""
    texts: tuple[Text, ...] = ()
    end: Finished | None = None

    @property
    def finished(self) -> Finished:
        assert self.end is not None, "a sample has no end"
        return self.end

    @property
    def reason(self) -> FinishReason:
        return self.finished.reason

    @property
    def text(self) -> str:
        return self.finished.text


class EventLog(dict[str, SampleEvents]):
    """By sample; takes events, and checks what must hold of each sample's."""

    metrics = Metrics()
    """The last that came."""
    most_running = 0

    def take(self, event: Event) -> None:
        if isinstance(event, Metrics):
            self.metrics, self.most_running = event, max(self.most_running, event.running)
            return
        outcome = self.setdefault(event.sample, SampleEvents())
        assert outcome.end is None, "nothing comes after the end"
        if isinstance(event, Started):
            outcome.starts, outcome.prompt, outcome.texts = outcome.starts + 1, event.logprobs, ()
        elif isinstance(event, Text):
            assert outcome.starts, "text comes after the start"
            outcome.texts += (event,)
        else:
            outcome.end = event

    def step(self, backend: Backend, deadline: float) -> None:
        assert time.monotonic() < deadline, "the backend hangs"
        for event in backend.step():
            self.take(event)


def run(backend: Backend, groups: Sequence[GroupRequest] = (), seconds: float = PATIENCE_S) -> EventLog:
    """Submit, and step until nothing is left."""
    for each in groups:
        backend.submit(each)
    outcomes, deadline = EventLog(), time.monotonic() + seconds
    while backend.busy:
        outcomes.step(backend, deadline)
    return outcomes


def group(name: str, k: int = 1, tokens: int = 24, temperature: float = 1.0, **more: Any) -> GroupRequest:
    """k samples `name.0` ... of one short message."""
    prompt = (Message(role="user", content="how much is it"),)
    samples = tuple(SampleRequest(f"{name}.{i}", 1 + 4 * i) for i in range(k))
    return GroupRequest(name, prompt, samples, Sampling(temperature=temperature, max_tokens=tokens), **more)


def raw(name: str, text: str, tokens: int) -> GroupRequest:
    """One sample `name.0` of a text that goes to the model as it is."""
    sampling = Sampling(temperature=1.0, max_tokens=tokens)
    return GroupRequest(name, text, (SampleRequest(f"{name}.0", 1),), sampling)


def _thinks_on(subject: Subject, name: str, **more: Any) -> GroupRequest:
    """Two samples that think and do not stop by themselves."""
    asked = group(name, thinking=subject.thinks_on, loop_guard=False, **more)
    return replace(asked, samples=(SampleRequest(f"{name}.0", 0), SampleRequest(f"{name}.1", 4)))


class MustDo:
    """What every backend does."""

    def test_its_module_fulfils_the_contract_and_it_says_what_it_is(self, subject: Subject) -> None:
        name = subject.settings.backend
        assert not BACKENDS.fault(BACKENDS.members[name])
        with subject.open() as backend:
            assert (backend.info.backend, bool(backend.info.version)) == (name, True)

    def test_every_sample_starts_and_ends_once_and_its_texts_are_its_text(self, subject: Subject) -> None:
        with subject.open() as backend:
            outcomes = run(backend, [group("a", k=3), group("b", k=2), group("c")])
            assert not backend.busy
        assert sorted(outcomes) == ["a.0", "a.1", "a.2", "b.0", "b.1", "c.0"]
        for outcome in outcomes.values():
            assert (outcome.starts, outcome.reason) == (1, FinishReason.LENGTH)
            assert "".join(text.text for text in outcome.texts) == outcome.text
            assert outcome.text

    def test_max_tokens_is_the_number_of_tokens_and_ends_with_length(self, subject: Subject) -> None:
        with subject.open() as backend:
            end = run(backend, [group("a", tokens=7)])["a.0"].finished
        assert (end.reason, end.thinking_tokens + end.answer_tokens) == (FinishReason.LENGTH, 7)

    def test_greedy_samples_of_one_prompt_are_equal(self, subject: Subject) -> None:
        with subject.open() as backend:
            outcomes = run(backend, [group("a", k=3, temperature=0.0)])
        assert len({outcome.text for outcome in outcomes.values()}) == 1

    def test_a_stop_string_ends_the_answer_before_it(self, subject: Subject) -> None:
        with subject.open() as backend:
            asked = group("a", k=2, tokens=120, stop=(subject.stop,), loop_guard=False)
            outcomes = run(backend, [asked])
        for outcome in outcomes.values():
            assert outcome.reason is FinishReason.STOP
            assert subject.stop not in outcome.text
            assert "".join(text.text for text in outcome.texts) == outcome.text

    def test_thinking_is_told_from_the_answer_in_texts_and_counts(self, subject: Subject) -> None:
        asked = group("a", k=2, tokens=120, thinking=subject.tags, loop_guard=False)
        samples = (SampleRequest("a.0", 0), SampleRequest("a.1", 4))
        with subject.open() as backend:
            outcomes = run(backend, [replace(asked, samples=samples)])
        for outcome in outcomes.values():
            end = outcome.finished
            parts = split(end.text, subject.tags, end.starts_thinking)
            assert parts.thinking
            assert parts.answer
            assert end.thinking_tokens > 0
            assert end.answer_tokens > 0
            assert end.starts_thinking or not subject.can(Ability.TEMPLATE)
            if subject.can(Ability.COUNT):
                for thinking, whole in ((True, parts.thinking), (False, parts.answer)):
                    said = "".join(text.text for text in outcome.texts if text.thinking is thinking)
                    assert said.strip() == whole.strip()

    def test_a_text_without_end_is_stopped_by_the_loop_guard(self, subject: Subject) -> None:
        asked = group("a", tokens=1800, temperature=0.0)
        with subject.open() as backend:
            outcomes = run(backend, [replace(asked, samples=(SampleRequest("a.0", subject.endless_seed),))])
        assert outcomes["a.0"].reason is FinishReason.LOOP

    def test_a_cancelled_sample_ends_with_what_it_has_and_the_others_go_on(self, subject: Subject) -> None:
        outcomes, deadline = EventLog(), time.monotonic() + PATIENCE_S
        with subject.open() as backend:
            for name in "ab":
                backend.submit(group(name, k=2, tokens=600, loop_guard=False))
            while "a.0" not in outcomes or not outcomes["a.0"].texts:
                outcomes.step(backend, deadline)
            ended = {name for name, outcome in outcomes.items() if outcome.end}  # a model may end any text
            for name in ("a.0", "b", "nobody"):
                backend.cancel(name)
            while backend.busy:
                outcomes.step(backend, deadline)
        assert outcomes["a.0"].reason is FinishReason.CANCELLED
        assert outcomes["a.0"].text
        assert {outcomes[name].reason for name in {"b.0", "b.1"} - ended} <= {FinishReason.CANCELLED}
        assert outcomes["a.1"].reason in (FinishReason.LENGTH, FinishReason.STOP)

    def test_what_waits_can_be_cancelled_before_it_begins(self, subject: Subject) -> None:
        with subject.open(parallel=1) as backend:
            backend.submit(group("a", tokens=20))
            backend.submit(group("b", k=2))
            backend.cancel("b.1")
            outcomes = run(backend)
        assert outcomes["b.1"].reason is FinishReason.CANCELLED
        assert outcomes["b.0"].reason is FinishReason.LENGTH

    def test_metrics_are_the_sums_of_the_samples(self, subject: Subject) -> None:
        with subject.open() as backend:
            outcomes = run(backend, [group("a", k=3), group("b")])
        ends, metrics = [outcome.finished for outcome in outcomes.values()], outcomes.metrics
        assert metrics.generated_tokens == sum(end.thinking_tokens + end.answer_tokens for end in ends)
        assert metrics.decode_s > 0
        assert metrics.running == metrics.waiting == 0
        for end in ends:
            assert end.prompt_tokens > 0
            assert end.ttft_s is not None
            assert end.ttft_s >= 0
            assert end.tokens_per_s is not None
            assert end.tokens_per_s > 0

    def test_no_more_streams_run_than_were_asked_for(self, subject: Subject) -> None:
        with subject.open(parallel=2) as backend:
            outcomes = run(backend, [group("a", k=3), group("b", k=3)])
        assert 0 < outcomes.most_running <= 2

    def test_a_prompt_may_be_raw_text(self, subject: Subject) -> None:
        with subject.open() as backend:
            assert run(backend, [raw("raw", "ab cd", 9)])["raw.0"].reason is FinishReason.LENGTH

    def test_closing_with_streams_running_returns(self, subject: Subject) -> None:
        with subject.open() as backend:
            backend.submit(group("a", k=4, tokens=200))
            for _ in range(20):
                backend.step()


class MayDecline:
    """What a backend may declare that it cannot do; one test an `Ability` that is not part of another's."""

    def test_a_seed_repeats_its_text_whatever_runs_beside(self, subject: Subject) -> None:
        subject.needs(Ability.SEED)
        with subject.open(parallel=8) as backend:
            alone = run(backend, [group("a")])["a.0"].text
            beside = [group("x", k=3, tokens=40), group("y", k=2, temperature=0.0)]
            assert run(backend, [beside[0], group("a"), beside[1]])["a.0"].text == alone

    def test_samples_of_a_group_differ(self, subject: Subject) -> None:
        subject.needs(Ability.VARY)
        with subject.open() as backend:
            outcomes = run(backend, [group("x", k=3, tokens=40)])
        assert len({outcome.text for outcome in outcomes.values()}) == 3

    def test_prompts_are_counted_and_computed_once_a_group(self, subject: Subject) -> None:
        subject.needs(Ability.COUNT)
        with subject.open() as backend:
            outcomes = run(backend, [group("a", k=3), group("b")])
        ends = [outcome.finished for outcome in outcomes.values()]
        assert outcomes.metrics.prefill_tokens == sum(end.prompt_tokens - end.shared_tokens for end in ends)
        assert not any(end.estimated for end in ends)
        shared = sorted(outcomes[f"a.{i}"].finished.shared_tokens for i in range(3))
        assert shared[0] == 0
        assert shared[1] >= outcomes["a.0"].finished.prompt_tokens - 1

    def test_thinking_is_closed_once_at_its_budget_and_an_answer_follows(self, subject: Subject) -> None:
        subject.needs(Ability.BUDGET)
        asked = _thinks_on(subject, "a", tokens=40, control=ThinkingControl(budget=2))
        with subject.open() as backend:
            outcomes = run(backend, [asked])
        for outcome in outcomes.values():
            end, closing = outcome.finished, subject.thinks_on.closing
            assert (end.closed, end.thinking_tokens, end.text.count(closing)) == ("budget", 2, 1)
            assert end.forced_tokens > 0
            assert end.answer_tokens > 0
            assert split(end.text, subject.thinks_on, end.starts_thinking).answer.strip()
        ends = [outcome.finished for outcome in outcomes.values()]
        assert outcomes.metrics.generated_tokens == sum(e.thinking_tokens + e.answer_tokens for e in ends)

    def test_a_reply_goes_on_from_thinking_of_before(self, subject: Subject) -> None:
        subject.needs(Ability.THOUGHT)
        asked = _thinks_on(subject, "a", tokens=10)
        thought = replace(asked, id="b", thought=Thought("one two three four", 2))
        thought = replace(thought, samples=(SampleRequest("b.0", 0),))
        with subject.open() as backend:
            outcomes = run(backend, [asked, thought])
        plain, end = outcomes["a.0"].finished, outcomes["b.0"].finished
        assert end.prompt_tokens >= plain.prompt_tokens + 3  # two of the thinking, and what closes it
        assert not end.starts_thinking
        assert subject.thinks_on.closing not in end.text
        assert end.answer_tokens > 0

    def test_forks_answer_at_each_budget_and_leave_their_sample_as_it_was(self, subject: Subject) -> None:
        subject.needs(Ability.FORK)
        alone = _thinks_on(subject, "a", tokens=30)
        forked = replace(alone, budgets=(2, 4, 600), budget_answer_tokens=5)
        with subject.open() as backend:
            unforked = run(backend, [alone])
        with subject.open() as backend:
            outcomes = run(backend, [forked])
        for sample in forked.samples:
            end = outcomes[sample.id].finished
            assert end.text == unforked[sample.id].text
            assert [(fork.budget, fork.forced) for fork in end.forks] == [(2, True), (4, True), (600, False)]
            for fork in end.forks[:2]:
                assert (fork.thinking_tokens, fork.seed) == (fork.budget, fork_seed(sample.seed, fork.budget))
                assert fork.text
                assert 0 < fork.answer_tokens <= 5
            assert 0 < end.forks[0].at < end.forks[1].at <= len(end.text)
        ends = [outcome.finished for outcome in outcomes.values()]
        tokens = [end.thinking_tokens + end.answer_tokens for end in ends]
        tokens += [fork.answer_tokens for end in ends for fork in end.forks]
        assert outcomes.metrics.generated_tokens == sum(tokens)

    def test_a_prompt_that_cannot_run_is_refused_and_the_others_run(self, subject: Subject) -> None:
        subject.needs(Ability.REFUSE)
        with subject.open() as backend:
            outcomes = run(backend, [raw("long", "a " * 9000, 5), group("b")])
        assert outcomes["long.0"].reason in (FinishReason.REFUSED, FinishReason.ERROR)
        assert outcomes["long.0"].reason is FinishReason.REFUSED or not subject.can(Ability.COUNT)
        assert outcomes["long.0"].finished.error
        assert outcomes["b.0"].reason is FinishReason.LENGTH

    def test_tokens_come_with_their_log_probabilities(self, subject: Subject) -> None:
        subject.needs(Ability.LOGPROBS)
        with subject.open() as backend:
            asked = [group("a", k=2, logprobs=3), group("b", temperature=0.0, logprobs=1), group("c")]
            outcomes = run(backend, asked)
        for name, outcome in outcomes.items():
            end, tokens = outcome.finished, outcome.finished.logprobs
            told = [token for text in outcome.texts for token in text.logprobs]
            if name == "c.0":
                assert not tokens + outcome.prompt + tuple(told)
                continue
            assert sum(not token.end for token in tokens) == end.thinking_tokens + end.answer_tokens
            assert told == list(tokens[: len(told)])
            for token in tokens:
                best = [logprob for _, logprob in token.top]
                assert len(best) == (1 if name == "b.0" else 3)
                assert best == sorted(best, reverse=True)
                assert sum(map(math.exp, best)) <= 1.001
                assert token.logprob == dict(token.top).get(token.id, token.logprob)
                assert name != "b.0" or token.id == token.top[0][0]

    def test_a_prompt_is_echoed_with_the_log_probabilities_that_its_tokens_had(
        self, subject: Subject
    ) -> None:
        subject.needs(Ability.LOGPROBS)
        with subject.open() as backend:
            outcomes = run(backend, [group("a", logprobs=2, echo=True)])
            said = outcomes["a.0"].prompt + outcomes["a.0"].finished.logprobs
            prompt = tuple(token.id for token in said)
            again = replace(group("again", k=2, tokens=1, logprobs=0, echo=True), prompt=prompt)
            outcomes |= run(backend, [again])
        assert len(outcomes["a.0"].prompt) == outcomes["a.0"].finished.prompt_tokens
        assert said[0].logprob is None
        assert outcomes["again.1"].prompt == outcomes["again.0"].prompt
        echoed = outcomes["again.0"].prompt
        assert tuple(token.id for token in echoed) == prompt
        for token, before in zip(echoed[1:], said[1:], strict=True):
            assert token.logprob is not None
            assert before.logprob is not None
            assert abs(token.logprob - before.logprob) < NOISE

    def test_an_answer_follows_its_grammar_and_a_bad_one_is_refused(self, subject: Subject) -> None:
        subject.needs(Ability.GRAMMAR)
        rule = Grammar("gbnf", 'root ::= "ab" ("cd" | "ef")+ " gh"')
        schema = Grammar(
            "json_schema", '{"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"]}'
        )
        asked = [
            group("free", k=2, tokens=120, grammar=rule, loop_guard=False),
            group("thinks", tokens=400, grammar=rule, thinking=subject.tags, loop_guard=False),
            group("json", temperature=0.0, tokens=60, grammar=schema, loop_guard=False),
            group("bad", grammar=Grammar("gbnf", "root ::= (")),
        ]
        with subject.open() as backend:
            outcomes = run(backend, asked)
        for name in ("free.0", "free.1", "thinks.0"):
            end = outcomes[name].finished
            answer = split(end.text, asked[name == "thinks.0"].thinking, end.starts_thinking).answer
            assert re.fullmatch("ab(cd|ef)+ gh", answer) or end.reason is FinishReason.LENGTH
            assert re.match("ab(cd|ef)*", answer)
        assert json.loads(outcomes["json.0"].text)["a"] in (1, 2)
        assert outcomes["bad.0"].reason is FinishReason.REFUSED

    def test_its_tokenizer_takes_texts_apart_and_its_pieces_put_them_together(self, subject: Subject) -> None:
        subject.needs(Ability.LOGPROBS)
        with subject.open() as backend:
            tokenizer = cast("Tokenizer", getattr(backend, "tokenizer"))  # noqa: B009 - not every backend has one
            tokens = tokenizer.tokenize("ab cd. ef")
            pieces = b"".join(map(tokenizer.piece, tokens))
            outcomes = run(backend, [group("a", logprobs=0, echo=True)])
            prompt = tokenizer.encode(group("b"))[0]
        assert pieces.replace(b" ", b"") == b"abcd.ef"
        assert prompt == [token.id for token in outcomes["a.0"].prompt]


class BackendConformance(MustDo, MayDecline):
    """All of it; a subclass gives the fixture `subject`."""

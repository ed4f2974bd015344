"""A backend that replays prepared texts: deterministic, without a model, with a clock of its own.

Most tests run on it. Its model file is a JSON object with the fields of `Script`. A sample says the text
at its seed modulo the number of texts; a token is a word with the space before it, as likely as all others.
When its thinking is closed, it goes on with what it knows by then; without thinking it says what it knows at
once.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
import zlib
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from localrl import __version__
from localrl.chat import Message
from localrl.engine.backends import Ability, Form
from localrl.engine.forks import ForkStream, ProbeStream, due
from localrl.engine.protocol import (
    EngineSettings,
    Event,
    Finished,
    FinishReason,
    GroupRequest,
    Metrics,
    ModelInfo,
    SampleRequest,
    TokenLogprob,
)
from localrl.engine.queueing import refused
from localrl.engine.stream import Stream
from localrl.errors import UsageError

SUMMARY = "prepared texts, for tests"
FORM = Form.ANY
REQUIRES: tuple[str, ...] = ()
INSTALL = ""
CANNOT: tuple[str, ...] = (Ability.VARY, Ability.TEMPLATE, Ability.GRAMMAR)
HIDDEN = True
LEARNING_STEPS = 4
"""After so many steps of training half of the samples say the first text."""


@dataclass(frozen=True)
class Script:
    texts: tuple[str, ...] = ("ok",)
    knows: tuple[tuple[tuple[int, str], ...], ...] = ((),)
    """For each text, modulo their number: from how many thinking tokens on it gives which answer when its
    thinking is closed, ascending. A probe is given the same, in a box."""
    cells: int = 100_000
    step_s: float = 0.01
    """What the clock advances in a step."""
    real_s: float = 0.0
    """What a step really takes; 0 runs as fast as it can."""
    load_s: float = 0.0
    """What loading really takes."""
    die_on: tuple[str, ...] = ()
    """Words that kill the process when they are generated."""


@dataclass(slots=True, eq=False)
class _Playing:
    stream: Stream
    words: deque[str]

    @property
    def is_fork(self) -> bool:
        return isinstance(self.stream, ForkStream)


class ScriptedTokenizer:
    """Words as tokens; it knows those again that it has seen."""

    def __init__(self) -> None:
        self._seen: dict[int, bytes] = {}

    def encode(self, group: GroupRequest) -> tuple[list[int], bool]:
        if isinstance(group.prompt, str):
            self.tokenize(group.prompt)
        else:
            for part in group.prompt:
                self.tokenize(part.content if isinstance(part, Message) else "")
        return _prompt_tokens(group), False

    def tokenize(self, text: str, *, ends: bool = False, control: bool = False) -> list[int]:
        words = text.split()
        self._seen |= {_token(word): word.encode() for word in words}
        return [_token(word) for word in words]

    def piece(self, token: int) -> bytes:
        return self._seen.get(token, f"<{token}>".encode())


@dataclass(slots=True)
class ScriptedBackend:
    """Runs up to `parallel` samples at once, one word each a step."""

    script: Script
    parallel: int = 8
    _now: float = 0.0
    _waiting: deque[tuple[GroupRequest, SampleRequest, float]] = field(default_factory=deque)
    _playing: list[_Playing] = field(default_factory=list)
    _events: list[Event] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _tokenizer: ScriptedTokenizer = field(default_factory=lambda: ScriptedTokenizer())
    _generated: int = 0
    _prefilled: int = 0
    _steps: int = 0
    _learned: float = 0.0
    """The share of samples that say the first text, whatever their seed."""

    @property
    def tokenizer(self) -> ScriptedTokenizer:
        return self._tokenizer

    @property
    def info(self) -> ModelInfo:
        return ModelInfo("scripted", __version__, self.script.cells, description="a script")

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._playing or self._events)

    def submit(self, group: GroupRequest) -> None:
        tokens = len(self._tokenizer.encode(group)[0])
        if group.grammar:
            self._events += refused(group, "prepared texts follow no grammar")
            return
        if tokens >= self.script.cells:
            error = f"a prompt of {tokens} tokens does not fit a context of {self.script.cells}"
            self._events += refused(group, error)
            return
        self._waiting += [(group, sample, self._now) for sample in group.samples]

    def cancel(self, name: str) -> None:
        for entry in [e for e in self._waiting if name in (e[0].id, e[1].id)]:
            self._waiting.remove(entry)
            self._events.append(Finished(entry[1].id, FinishReason.CANCELLED, ""))
        for playing in [p for p in self._playing if name in (p.stream.group.id, p.stream.sample.id)]:
            self._end(playing, FinishReason.CANCELLED)

    def step(self) -> list[Event]:
        if self.script.real_s:
            time.sleep(self.script.real_s)
        self._now += self.script.step_s
        self._steps += 1
        while self._waiting and self._streams < self.parallel:
            self._start(*self._waiting.popleft())
        for playing in list(self._playing):
            self._advance(playing)
        events, self._events = self._events, []
        return [*events, self._metrics()]

    def set_adapter(self, path: str | None) -> None:
        """`{"steps": n}`: the more steps, the more samples say the first text."""
        self._learned = 0.0
        if path:
            try:
                steps = int(json.loads(Path(path).read_bytes())["steps"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UsageError(f"{path} is no adapter of a script") from error
            self._learned = steps / (steps + LEARNING_STEPS)

    def close(self) -> None:
        self._playing.clear()

    @property
    def _streams(self) -> int:
        return sum(not playing.is_fork for playing in self._playing)

    def _start(self, group: GroupRequest, sample: SampleRequest, submitted: float) -> None:
        tokens = len(_prompt_tokens(group))
        shared = tokens if group.id in self._seen else 0
        self._seen = {group.id}
        self._prefilled += tokens - shared
        echoed = _echoed(group) if group.echo else ()
        stream = Stream(sample, group, submitted, tokens, False, shared, echoed)
        luck = (sample.seed * 2654435761 % 2**32) / 2**32  # Knuth's multiplicative hash
        text = self.script.texts[0 if luck < self._learned else sample.seed % len(self.script.texts)]
        if group.thought or not group.control.enabled:
            text = self._known(stream, group.thought.tokens if group.thought else 0)
        self._playing.append(_Playing(stream, _words(text)))
        self._events.append(stream.started())

    def _advance(self, playing: _Playing) -> None:
        top = playing.stream.group.logprobs
        if not playing.words:
            playing.stream.end(self._now, None if top is None else _logprob(_token(""), top))
            self._end(playing, FinishReason.STOP)
            return
        word = playing.words.popleft()
        if word.strip() in self.script.die_on:
            os._exit(9)
        self._generated += 1
        stream = playing.stream
        logprob = None if top is None else _logprob(_token(word), top)
        reason = stream.push(_token(word), word.encode(), self._now, logprob)
        self._events += stream.texts()
        for fork in due(stream, self._now):
            known = self._known(stream, fork.thinking_tokens)
            if isinstance(fork, ProbeStream):
                known = known.rpartition("\\boxed{")[2].removesuffix("}") + "}"
            self._playing.append(_Playing(fork, _words(known)))
        if reason is not None:
            self._end(playing, reason)
        elif why := stream.must_close():
            playing.words = _words(self._known(stream, stream.closable or 0))
            closing = stream.group.thinking.closing if stream.group.thinking else ""
            stream.close_thinking(why, [_token(w) for w in _words(closing)], closing.encode())

    def _known(self, stream: Stream, thinking_tokens: int) -> str:
        """What a sample answers when its thinking is closed after so many tokens."""
        knows = self.script.knows[stream.sample.seed % len(self.script.texts) % len(self.script.knows)]
        return next((answer for tokens, answer in reversed(knows) if tokens <= thinking_tokens), "")

    def _end(self, playing: _Playing, reason: FinishReason) -> None:
        self._playing.remove(playing)
        self._events += playing.stream.finish(reason)

    def _metrics(self) -> Metrics:
        return Metrics(
            running=self._streams,
            waiting=len(self._waiting),
            parallel=self.parallel,
            cells=self.script.cells,
            generated_tokens=self._generated,
            decode_s=self._now,
            prefill_tokens=self._prefilled,
            prefill_s=self._steps * self.script.step_s / 10,
            steps=self._steps,
        )


def _words(text: str) -> deque[str]:
    return deque(re.findall(r"\s*\S+|\s+$", text))


def _logprob(token: int, top: int) -> TokenLogprob:
    """A token is as likely as all others, the next in number as those that are left, and so on."""
    likeliest = tuple((token + i, -(i + 1) * math.log(2)) for i in range(top))
    return TokenLogprob(token, -math.log(2), likeliest)


def _echoed(group: GroupRequest) -> tuple[TokenLogprob, ...]:
    first, *others = _prompt_tokens(group)
    return TokenLogprob(first, None), *(_logprob(token, group.logprobs or 0) for token in others)


def _prompt_tokens(group: GroupRequest) -> list[int]:
    if isinstance(group.prompt, str):
        return [_token(word) for word in group.prompt.split()]
    tokens: list[int] = []
    if group.thought and group.thinking:
        kept = group.thought.text.split()[: group.thought.tokens]
        tokens += map(_token, [*kept, *group.thinking.closing.split()])
    for part in group.prompt:
        tokens += [part] if isinstance(part, int) else map(_token, part.content.split())
    return tokens


def _token(word: str) -> int:
    return zlib.crc32(word.encode())


def load(settings: EngineSettings) -> ScriptedBackend:
    """Read a script.

    Raises:
        UsageError: the file is no script.
    """
    try:
        script = TypeAdapter(Script).validate_json(Path(settings.model).read_bytes())
    except (OSError, ValidationError) as error:
        raise UsageError(f"cannot read the script {settings.model}: {error}") from error
    time.sleep(script.load_s)
    if settings.context:
        script = replace(script, cells=settings.context)
    return ScriptedBackend(script, settings.parallel or 8)

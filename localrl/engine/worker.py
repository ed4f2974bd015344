"""The child process in which a model lives: `python -m localrl.engine.worker`.

Its loop is: drain the inbox, step, write the events. A crash of a native library ends this process and not
the app; when the app goes away, its end of the pipe closes and the worker ends itself.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from localrl import isolated
from localrl.engine import wire
from localrl.engine.backends import BACKENDS
from localrl.engine.protocol import Adaptable, Finished, Metrics, Started, Text
from localrl.engine.wire import (
    AnyAnswer,
    AnyCommand,
    Cancel,
    LoadModel,
    Pause,
    Ready,
    Refused,
    SetAdapter,
    Step,
    Submit,
    Tokenize,
    Tokenized,
)
from localrl.errors import LocalrlError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from localrl.engine.protocol import Backend, Event, Tokenizer

TOGETHER_S = 0.04
"""Text and metrics of quick steps wait so long for those of the next, so that the app seldom wakes up: on a
machine with few cores it would take one from the threads that compute."""

Inbox = queue.SimpleQueue[AnyCommand]


def main() -> None:
    commands, answers = isolated.take_pipes()
    inbox: Inbox = queue.SimpleQueue()
    threading.Thread(target=_read, args=(commands, inbox), daemon=True).start()
    first = inbox.get()
    if not isinstance(first, LoadModel):
        raise LocalrlError("the first message must be load_model")
    try:
        backend = BACKENDS.get(first.settings.backend).load(first.settings)
        if first.settings.adapter:
            _set_adapter(backend, first.settings.adapter)
    except LocalrlError as error:
        _write(answers, Refused(str(error), error.exit_code))
        return
    _write(answers, Ready(backend.info))
    try:
        serve(backend, inbox, answers)
    except LocalrlError as error:
        _write(answers, Refused(str(error), error.exit_code))


def serve(backend: Backend, inbox: Inbox, answers: BinaryIO) -> None:
    """Step while there is work; sleep on the inbox while there is none, or while paused."""
    outbox = Outbox(lambda events: _write(answers, Step(events)))
    paused = False
    while True:
        idle = paused or not backend.busy
        while idle or not inbox.empty():
            if idle:
                outbox.flush()
            command = inbox.get()
            if isinstance(command, Tokenize):
                _write(answers, tokenized(backend, command))
            else:
                paused = _obey(backend, command, paused)
            idle = paused or not backend.busy
        outbox.add(backend.step())


class Outbox:
    """The events of a few quick steps as one message; the start and the end of a sample are sent at once."""

    def __init__(
        self, send: Callable[[list[Event]], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._send, self._clock = send, clock
        self._events: list[Event] = []
        self._texts: dict[tuple[str, bool], int] = {}
        self._metrics: Metrics | None = None
        self._sent = -TOGETHER_S

    def add(self, events: list[Event]) -> None:
        """Queue the events of one step, and send what waits when it is time."""
        urgent = False
        for event in events:
            if isinstance(event, Text):
                self._add_text(event)
            elif isinstance(event, Metrics):
                self._metrics = event
            else:
                urgent = urgent or isinstance(event, Started | Finished)
                self._events.append(event)
        if urgent or self._clock() - self._sent >= TOGETHER_S:
            self.flush()

    def flush(self) -> None:
        """Send what waits; the app only needs the last of the metrics."""
        events = [*self._events, self._metrics] if self._metrics else self._events
        if events:
            self._send(events)
            self._sent = self._clock()
        self._events, self._texts, self._metrics = [], {}, None

    def _add_text(self, event: Text) -> None:
        """Join it to the text of the same stream that waits already, unless thinking ended in between."""
        self._texts.pop((event.sample, not event.thinking), None)
        at = self._texts.setdefault((event.sample, event.thinking), len(self._events))
        if at == len(self._events):
            self._events.append(event)
        else:
            waiting = self._events[at]
            assert isinstance(waiting, Text)
            self._events[at] = replace(
                waiting,
                text=waiting.text + event.text,
                tokens=waiting.tokens + event.tokens,
                logprobs=waiting.logprobs + event.logprobs,
            )


def tokenized(backend: Backend, asked: Tokenize) -> Tokenized:
    """A prompt's tokens and the bytes of each, or why there are none."""
    tokenizer: Tokenizer | None = getattr(backend, "tokenizer", None)
    if tokenizer is None:
        return Tokenized(asked.id, error="this backend does not see tokens")
    prompt = asked.group.prompt
    try:
        if isinstance(prompt, str):
            tokens = tokenizer.tokenize(prompt, ends=asked.special, control=True)
        else:
            tokens = tokenizer.encode(asked.group)[0]
        pieces = [tokenizer.piece(token).decode("latin-1") for token in tokens]
    except LocalrlError as error:
        return Tokenized(asked.id, error=str(error))
    return Tokenized(asked.id, tuple(tokens), tuple(pieces))


def _obey(backend: Backend, command: AnyCommand, paused: bool) -> bool:
    if isinstance(command, SetAdapter):
        _set_adapter(backend, command.path)
    elif isinstance(command, Submit):
        backend.submit(command.group)
    elif isinstance(command, Cancel):
        backend.cancel(command.name)
    elif isinstance(command, Pause):
        return command.paused
    return paused


def _set_adapter(backend: Backend, path: str | None) -> None:
    """
    Raises:
        UsageError: the file is no adapter of this model.
        Unavailable: this backend takes none.
    """
    if not isinstance(backend, Adaptable):
        raise Unavailable(f"the backend {backend.info.backend} takes no adapters")
    backend.set_adapter(path)


def _read(commands: BinaryIO, inbox: Inbox) -> None:
    """Feed the inbox until the app closes the pipe or dies; then end at once, in the middle of a step too."""
    for line in commands:
        inbox.put(wire.decode(wire.COMMANDS, line))
    os._exit(0)


def _write(answers: BinaryIO, message: AnyAnswer) -> None:
    try:
        answers.write(wire.encode(wire.ANSWERS, message))
        answers.flush()
    except BrokenPipeError:
        os._exit(0)


if __name__ == "__main__":
    main()

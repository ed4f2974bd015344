"""The app's handle on the worker process: start it, talk to it, and bring it back when it dies.

A dead worker is started again and everything that was in flight is submitted again. When it dies twice
without a sample finished in between, one of the groups in flight may be the cause: they run one by one, and a
group that dies alone ends as errors. So no sample fails for the fault of another, and none is tried for ever.
"""

from __future__ import annotations

import contextlib
import queue
import subprocess
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from localrl import isolated
from localrl.engine import wire
from localrl.engine.protocol import (
    EngineSettings,
    Event,
    Finished,
    FinishReason,
    GroupRequest,
    ModelInfo,
    Text,
)
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
from localrl.errors import LocalrlError, Stopped, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BARREN_DEATHS = 2
"""Deaths in a row, without a sample finished in between, after which groups run one by one."""
RELOADS = 3
"""Workers in a row that may die while they load a model that has been loaded before."""
ALONE_DEATHS, SPEAKING_DEATHS = 2, 4
"""Deaths of a group that ran alone, after which it is the group's fault: so many before any text of it came,
or so many in all, since somebody else may kill a worker that is at work."""
HOPELESS_GROUPS = 3
"""Groups in a row that died alone, after which the engine is given up."""
QUEUED_STEPS = 256
"""Steps that may wait for the app; beyond them the worker waits, so memory stays flat."""
STEPS_TOGETHER = 16
"""Steps that are taken with the one that was waited for; whoever stops a run sees these first."""
LOOK_EVERY_S = 0.05
"""How often somebody who waits looks whether what is waited for is still wanted, or there."""
_FOR_SERVERS = (
    *("LOCALRL_API_KEY", "OPENAI_API_KEY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)
"""What a worker that asks servers may know besides."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """The worker died and is back; the samples in flight were submitted again."""

    exit_status: int


ClientEvent = Event | Restarted | Tokenized
"""What `EngineClient.events` gives."""


class _DiedLoading(Unavailable):
    """The worker ended before it said anything of the model."""


@dataclass(slots=True)
class _InFlight:
    group: GroupRequest
    """With the samples that have not finished."""
    suspect: bool = False
    """It was in flight when the worker died again and again: it must run alone."""
    died_alone: int = 0
    died_silent: int = 0
    """Of these, before any text of it came."""


class EngineClient:
    """One loaded model in one child process. Not thread-safe, except `cancel`, `pause` and `wake`.

    Use as a context manager, or call `close`.
    """

    def __init__(self, settings: EngineSettings, log: Path, stopping: threading.Event | None = None) -> None:
        """
        Args:
            stopping: once it is set, nobody waits for a model any longer.

        Raises:
            UsageError, Unavailable: the model cannot be loaded.
            Stopped: it is not wanted any longer; its worker has ended.
        """
        self.stopping = stopping or threading.Event()
        self._settings = settings
        self._log = log
        self._in_flight: dict[str, _InFlight] = {}
        self._group_of: dict[str, str] = {}
        self._lock = threading.Lock()
        self._paused = False
        self._barren_deaths = 0
        self._hopeless = 0
        self._alone: str | None = None
        self._spoke = False
        """Text has come since groups were last submitted again."""
        self._cancelled: set[str] = set()
        """Samples and groups in flight that were cancelled: a worker that comes back must hear of it too."""
        self._start()
        self.info = self._wait_ready()

    def __enter__(self) -> EngineClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def settings(self) -> EngineSettings:
        return self._settings

    @property
    def worker_pid(self) -> int:
        return self._process.pid

    @property
    def in_flight(self) -> int:
        """Samples submitted and not finished."""
        return len(self._group_of)

    def submit(self, group: GroupRequest) -> None:
        """Queue a group; its id and those of its samples must not be in flight."""
        names = [group.id, *(sample.id for sample in group.samples)]
        self._cancelled.difference_update(names)
        self._in_flight[group.id] = _InFlight(group)
        self._group_of.update({sample.id: group.id for sample in group.samples})
        if self._alone is None:
            self._send(Submit(group))

    def cancel(self, name: str) -> None:
        """Stop a sample or a group; its samples still finish, as cancelled."""
        if name not in self._in_flight and name not in self._group_of:
            return
        self._cancelled.add(name)
        self._send(Cancel(name))
        if self._alone is not None:  # no worker knows of what is held back, and `events` waits for a worker
            self.wake()

    def tokenize(self, name: str, group: GroupRequest, special: bool = True) -> None:
        """Ask for the tokens of a prompt; the answer is among the `events`, unless the worker dies."""
        self._send(Tokenize(name, group, special))

    def wake(self) -> None:
        """Let `events` return, if it waits; any thread may call this."""
        with contextlib.suppress(queue.Full):
            self._inbox.put_nowait(Step([]))

    def pause(self, paused: bool = True) -> None:
        """Stop stepping after the current step, or go on."""
        self._paused = paused
        self._send(Pause(paused))

    def set_adapter(self, path: Path | None) -> None:
        """Compute what is submitted from now on with this adapter, or with none; nothing may be in flight.

        A file that is none is refused by the next `events`. A worker that is started again takes it too.
        """
        assert not self._in_flight
        self._settings = replace(self._settings, adapter=str(path) if path else None)
        self._send(SetAdapter(self._settings.adapter))

    def events(self, timeout: float | None = None) -> list[ClientEvent]:
        """The events of the next step, and of those after it that wait already.

        Empty when none came within `timeout` seconds.

        Raises:
            LocalrlError: the worker gives up, cannot be brought back, or refuses the model this time.
            Stopped: it was to be brought back, and is not wanted any longer.
        """
        if ended := self._cancelled_unseen():
            return ended
        try:
            message = self._inbox.get(timeout=timeout)
        except queue.Empty:
            return []
        if message is None:
            return self._revive()
        if isinstance(message, Refused):
            raise wire.error(message)
        if isinstance(message, Tokenized):
            return [message]
        if not isinstance(message, Step):
            return []
        steps = (message, *self._waiting_steps())
        found: list[ClientEvent] = [event for step in steps for event in step.events if self._note(event)]
        return found or self._cancelled_unseen()

    def _waiting_steps(self) -> Iterator[Step]:
        """Some that a caller slower than the engine has not taken, so that it stores them in one commit."""
        for _ in range(min(self._inbox.qsize(), STEPS_TOGETHER)):
            step = self._inbox.queue[0]  # nobody else takes any
            if not isinstance(step, Step):
                return
            self._inbox.get_nowait()
            yield step

    def close(self) -> None:
        """End the worker; samples in flight are dropped."""
        self._process.kill()
        self._process.wait()
        while self._reader.is_alive():  # perhaps it waits for room in the queue
            with contextlib.suppress(queue.Empty):
                if self._inbox.get(timeout=LOOK_EVERY_S) is None:
                    self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    # -- the child

    def _start(self) -> None:
        environment = isolated.environment(*(_FOR_SERVERS if self._settings.endpoints else ()))
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                isolated.command("localrl.engine.worker"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**environment, "HF_HUB_OFFLINE": "1"},
                start_new_session=True,  # Ctrl-C in the terminal is for the app alone
            )
        inbox: queue.Queue[AnyAnswer | None] = queue.Queue(QUEUED_STEPS)
        self._reader = threading.Thread(target=_read, args=(process, inbox), daemon=True)
        self._reader.start()
        self._process, self._inbox = process, inbox
        self._send(LoadModel(self._settings))

    def _wait_ready(self) -> ModelInfo:
        try:
            message = self._answer()
        except BaseException:
            self.close()
            raise
        if isinstance(message, Ready):
            return message.info
        self.close()
        if isinstance(message, Refused):
            raise wire.error(message)
        raise _DiedLoading("the engine died while it loaded the model", hint=f"see {self._log}")

    def _answer(self) -> Ready | Refused | Tokenized | None:
        """What the worker says of the model."""
        while not self.stopping.is_set():
            with contextlib.suppress(queue.Empty):
                message = self._inbox.get(timeout=LOOK_EVERY_S)
                if not isinstance(message, Step):
                    return message
        raise Stopped("stopped while the model was being loaded")

    def _send(self, command: AnyCommand) -> None:
        assert self._process.stdin is not None
        line = wire.encode(wire.COMMANDS, command)
        with self._lock:
            try:
                self._process.stdin.write(line)
                self._process.stdin.flush()
            except (BrokenPipeError, ValueError):
                pass  # it has died: `events` will notice, and submit again

    def _note(self, event: Event) -> bool:
        """Keep track of what is in flight; False for a sample that nobody waits for."""
        if not isinstance(event, Finished):
            self._spoke = self._spoke or isinstance(event, Text)
            return True
        name = self._group_of.pop(event.sample, None)
        if name is None:
            return False
        flight = self._in_flight[name]
        if event.reason is not FinishReason.ERROR:
            self._barren_deaths = self._hopeless = flight.died_alone = flight.died_silent = 0
        self._cancelled.discard(event.sample)
        left = tuple(sample for sample in flight.group.samples if sample.id != event.sample)
        if left:
            flight.group = replace(flight.group, samples=left)
        else:
            del self._in_flight[name]
            self._cancelled.discard(name)
            if name == self._alone:
                self._submit_again()
        return True

    def _revive(self) -> list[ClientEvent]:
        """Start a new worker and submit again what was in flight, except what died alone."""
        status = self._process.wait()
        self.close()
        failed: list[Event] = []
        self._barren_deaths += 1
        if self._alone is not None:
            alone = self._in_flight[self._alone]
            alone.died_alone += 1
            alone.died_silent += not self._spoke
            if alone.died_silent >= ALONE_DEATHS or alone.died_alone >= SPEAKING_DEATHS:
                error = f"the engine died of this prompt (exit status {status})"
                samples = alone.group.samples
                failed = [Finished(sample.id, FinishReason.ERROR, "", error=error) for sample in samples]
                self._hopeless += 1
                if self._hopeless >= HOPELESS_GROUPS:
                    raise Unavailable("the engine dies of every prompt", hint=f"see {self._log}")
        elif self._barren_deaths >= BARREN_DEATHS:
            for flight in self._in_flight.values():
                flight.suspect = True
        self._reload()
        if self._paused:
            self._send(Pause(paused=True))
        if not failed:  # else once the failed are noted
            self._submit_again()
        return [Restarted(status), *[event for event in failed if self._note(event)]]

    def _reload(self) -> None:
        """A new worker for a model that was loaded before; one that dies meanwhile is replaced too."""
        for left in reversed(range(RELOADS)):
            self._start()
            try:
                self.info = self._wait_ready()
            except _DiedLoading:
                if not left:
                    raise
            else:
                return

    def _submit_again(self) -> None:
        """To a worker without work: the next suspect alone, or everything when there is none."""
        self._spoke = False
        self._alone = next((name for name, flight in self._in_flight.items() if flight.suspect), None)
        for name, flight in self._in_flight.items():
            if self._alone in (None, name):
                self._send(Submit(flight.group))
                for cancelled in self._cancelled & {name, *(sample.id for sample in flight.group.samples)}:
                    self._send(Cancel(cancelled))

    def _cancelled_unseen(self) -> list[ClientEvent]:
        """The ends of samples that were cancelled while their group waits for the one that runs alone."""
        if self._alone is None or not self._cancelled:
            return []
        held = [flight.group for name, flight in self._in_flight.items() if name != self._alone]
        ends = [
            Finished(sample.id, FinishReason.CANCELLED, "")
            for group in held
            for sample in group.samples
            if group.id in self._cancelled or sample.id in self._cancelled
        ]
        return [event for event in ends if self._note(event)]


def _read(process: subprocess.Popen[bytes], inbox: queue.Queue[AnyAnswer | None]) -> None:
    """Feed the queue until the worker closes its pipe; None says that it is gone."""
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if not line.endswith(b"\n"):
                break  # cut off in the middle of a message
            inbox.put(wire.decode(wire.ANSWERS, line))
    except (LocalrlError, ValueError):
        process.kill()
    inbox.put(None)

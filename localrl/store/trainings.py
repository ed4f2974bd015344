"""Trainings on disk: what was sampled in each step, what the step did, and which runs measured it.

The weights lie in files beside the store (`folder`); a step's row is written after them, so that a step that
is here can be gone on from.
"""

from __future__ import annotations

import json
import shutil
from array import array
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from localrl import paths
from localrl.store import db, references

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

Purpose = Literal["before", "check", "after"]


@dataclass(frozen=True, slots=True)
class Training:
    key: int
    id: str
    name: str
    created: str
    """ISO 8601, UTC."""
    status: str
    """`running`, `partial`, `complete` or `failed`."""
    manifest: dict[str, Any]
    """Everything that fixes the training; its `plan` is a `train.plan.TrainPlan`."""

    @property
    def folder(self) -> Path:
        """Where its adapters and the trainer's states are."""
        return paths.home("data") / "trainings" / self.id

    def adapter(self, steps: int) -> Path:
        """The adapter after so many steps, at least 1; it may have been removed for the sake of space."""
        return self.folder / f"adapter-{steps:05}.gguf"


@dataclass(frozen=True, slots=True)
class StoredRollout:
    """One sample of a step, with what the trainer needs of it."""

    step: int
    place: int
    """Which of the step's groups, in the order in which they were drawn."""
    index: int
    """Which of the group's k samples."""
    problem: str
    seed: int
    text: str
    finish: str
    """Why generation ended, as the engine says it."""
    prompt: tuple[int, ...] = ()
    """Token ids."""
    tokens: tuple[int, ...] = ()
    """Token ids that were generated, the end token included."""
    logprobs: tuple[float, ...] = ()
    """Natural logarithms of the engine's probabilities, one a token."""
    starts_thinking: bool = False
    outcome: str | None = None
    """None until it is judged."""
    reward: float = 0.0
    spread: float = 0.0
    """The reward without what depends on the length alone: a group is mixed when these differ."""
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measurement:
    """A run that measured a training after so many steps."""

    step: int
    purpose: Purpose
    run: str
    """Its id."""


class Trainings:
    """The store's trainings. Every method that writes has written when it returns."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def create(self, manifest: dict[str, Any], name: str = "") -> Training:
        training_id = references.new_id()
        when = datetime.now(UTC).isoformat(timespec="seconds")
        with db.transaction(self._connection):
            self._connection.execute(
                "INSERT INTO trainings (id, name, created, status, manifest) VALUES (?, ?, ?, 'running', ?)",
                (training_id, name, when, json.dumps(manifest)),
            )
        return self.find(training_id)

    def all(self) -> list[Training]:
        """The newest first."""
        rows = self._connection.execute(
            "SELECT key, id, name, created, status, manifest FROM trainings ORDER BY key DESC"
        )
        return [Training(*[*fixed, json.loads(manifest)]) for *fixed, manifest in rows]

    def find(self, reference: str) -> Training:
        """By its id, the beginning of its id, its name, or `last`.

        Raises:
            UsageError: there is none, or more than one.
        """
        return references.meant(reference, self.all(), "training")

    def set_status(self, training: Training, status: str) -> None:
        with db.transaction(self._connection):
            self._connection.execute("UPDATE trainings SET status = ? WHERE key = ?", (status, training.key))

    def remove(self, training: Training) -> None:
        """Delete a training with its steps, samples and files, and the runs that measured it."""
        with db.transaction(self._connection):
            self._connection.execute(
                "DELETE FROM runs WHERE key IN (SELECT run FROM measurements WHERE training = ?)",
                (training.key,),
            )
            self._connection.execute("DELETE FROM trainings WHERE key = ?", (training.key,))
        shutil.rmtree(training.folder, ignore_errors=True)

    # -- steps

    def add_step(self, training: Training, step: int, record: dict[str, Any]) -> None:
        """A step is done; its adapter and the trainer's state are on disk."""
        with db.transaction(self._connection):
            self._connection.execute(
                "INSERT INTO steps (training, step, record) VALUES (?, ?, ?)",
                (training.key, step, json.dumps(record)),
            )

    def steps(self, training: Training) -> list[dict[str, Any]]:
        """The records of the steps that are done, from step 0 on."""
        rows = self._connection.execute(
            "SELECT record FROM steps WHERE training = ? ORDER BY step", (training.key,)
        )
        return [json.loads(row[0]) for row in rows]

    # -- rollouts

    def add_rollouts(self, training: Training, added: Iterable[StoredRollout]) -> None:
        """Append samples that were generated; each is only ever written once."""
        with db.transaction(self._connection):
            self._connection.executemany(
                f"INSERT INTO rollouts (training, {_COLUMNS}) VALUES (?{', ?' * 15})",
                [(training.key, *_row(rollout)) for rollout in added],
            )

    def judge(self, training: Training, judged: Iterable[StoredRollout]) -> None:
        """Store the rewards of samples that are here already."""
        with db.transaction(self._connection):
            self._connection.executemany(
                "UPDATE rollouts SET outcome = ?, reward = ?, spread = ?, detail = ? "
                "WHERE training = ? AND step = ? AND place = ? AND idx = ?",
                [
                    (
                        r.outcome,
                        r.reward,
                        r.spread,
                        json.dumps(r.detail),
                        training.key,
                        r.step,
                        r.place,
                        r.index,
                    )
                    for r in judged
                ],
            )

    def rollouts(self, training: Training, step: int) -> list[StoredRollout]:
        """The samples of a step that are stored, in order of group and index."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM rollouts WHERE training = ? AND step = ? ORDER BY place, idx",
            (training.key, step),
        )
        return [_rollout(row) for row in rows]

    # -- the runs that measured it

    def begin_measurement(
        self, training: Training, step: int, purpose: Purpose, manifest: dict[str, Any]
    ) -> str:
        """Enter a run that measures the training; returns its id. Its name says what it is."""
        run_id = references.new_id()
        when = datetime.now(UTC).isoformat(timespec="seconds")
        name = f"{training.name or training.id} {purpose}" + f" {step}" * (purpose == "check")
        with db.transaction(self._connection):
            key = self._connection.execute(
                "INSERT INTO runs (id, name, created, status, manifest) VALUES (?, ?, ?, 'running', ?)",
                (run_id, name, when, json.dumps(manifest)),
            ).lastrowid
            self._connection.execute(
                "INSERT INTO measurements (training, step, purpose, run) VALUES (?, ?, ?, ?)",
                (training.key, step, purpose, key),
            )
        return run_id

    def measurements(self, training: Training) -> list[Measurement]:
        """In the order in which they were made."""
        rows = self._connection.execute(
            "SELECT m.step, m.purpose, r.id FROM measurements m JOIN runs r ON r.key = m.run "
            "WHERE m.training = ? ORDER BY m.run",
            (training.key,),
        )
        return [Measurement(*row) for row in rows]


_COLUMNS = (
    "step, place, idx, problem, seed, text, finish, prompt, tokens, logprobs, starts_thinking, "
    "outcome, reward, spread, detail"
)


def place(rollout: StoredRollout) -> tuple[int, int, int]:
    """What names it within its training."""
    return rollout.step, rollout.place, rollout.index


def _row(r: StoredRollout) -> tuple[Any, ...]:
    return (
        *(r.step, r.place, r.index, r.problem, r.seed, r.text, r.finish),
        *(array("I", r.prompt).tobytes(), array("I", r.tokens).tobytes()),
        *(array("f", r.logprobs).tobytes(), r.starts_thinking),
        *(r.outcome, r.reward, r.spread, json.dumps(r.detail)),
    )


def _rollout(row: tuple[Any, ...]) -> StoredRollout:
    values = list(row)
    values[7:10] = [tuple(array(kind, blob)) for kind, blob in zip("IIf", row[7:10], strict=True)]
    values[10], values[14] = bool(row[10]), json.loads(row[14])
    return StoredRollout(*values)

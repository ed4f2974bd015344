"""Trainings among the runs of `localrl runs`: listed, shown, watched, deleted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from localrl.cli.output import document, note, table
from localrl.cli.progress import StatusLine
from localrl.cli.train_summary import step_line, summary
from localrl.errors import UsageError
from localrl.formats import percent
from localrl.store import locks
from localrl.train import outcome
from localrl.train.record import StepRecord

if TYPE_CHECKING:
    from localrl.store.runs import Run, Store
    from localrl.store.trainings import Training

LOOK_EVERY_S = 1.0


def run_or_training(store: Store, reference: str) -> Run | Training:
    """A run, else a training.

    Raises:
        UsageError: there is neither.
    """
    try:
        return store.find(reference)
    except UsageError as error:
        try:
            return store.trainings.find(reference)
        except UsageError:
            raise error from None


def listed(store: Store) -> list[dict[str, Any]]:
    """The newest first, as `runs ls --trainings --json` prints them."""
    found = []
    for training in store.trainings.all():
        made = outcome.document(store, training)
        first = made["evals"][0] if made["evals"] else {}
        ends = (first.get(end) for end in ("before", "after"))
        before, after = (entry["value"] if entry else None for entry in ends)
        if after is None and made["checks"]:
            after = made["checks"][-1]["accuracy"]
        found.append(
            {
                "training": training.id,
                "name": training.name,
                "created": training.created,
                "status": made["status"],
                "model": ":".join(filter(None, made["model"].values())),
                "eval": made["eval"],
                "recipe": made["recipe"]["name"],
                "steps": len(made["steps"]),
                "before": before,
                "after": after,
            }
        )
    return found


def show_list(found: list[dict[str, Any]]) -> None:
    columns = ["training", "name", "created", "status", "model", "eval", "recipe", "steps", "before", "after"]
    rows = [
        [
            *(each[key] for key in columns[:2]),
            each["created"][:16].replace("T", " "),
            *(each[key] for key in columns[3:8]),
            *(percent(each[key]) for key in columns[8:]),
        ]
        for each in found
    ]
    table(columns, rows, right=(7, 8, 9))


def show(store: Store, training: Training, as_json: bool) -> None:
    made = outcome.document(store, training)
    if as_json:
        document(made)
    else:
        click.echo(summary(made))


def watch(store: Store, training: Training, display: str | None) -> None:
    """Say what each step did, until nobody works on the training."""
    told, at_work = 0, True
    with StatusLine(display) as line:
        while at_work:
            at_work = locks.is_locked(training)
            steps = [StepRecord(**step) for step in store.trainings.steps(training)]
            wanted = training.manifest["plan"]["recipe"]["steps"]
            for record in steps[told:]:
                line.note(step_line(record, wanted))
            told = len(steps)
            line.show(f"{told}/{wanted} steps".__str__)
            time.sleep(LOOK_EVERY_S if at_work else 0)
    status = outcome.status(store.trainings.find(training.id))
    if status == "complete":
        note(f"training {training.id} is complete; look at it with: localrl runs show {training.id}")
    else:
        note(f"nobody works on training {training.id}; go on with: localrl train --resume {training.id}")

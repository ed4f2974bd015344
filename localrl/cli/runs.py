"""`localrl runs`: look at runs, compare them, export them."""

from __future__ import annotations

from typing import Any

import click

from localrl.cli.lazy import LazyGroup
from localrl.cli.output import document, note, table
from localrl.cli.summary import summary
from localrl.errors import UsageError
from localrl.formats import percent
from localrl.report import report
from localrl.store import locks
from localrl.store.runs import Run, Store


@click.group("runs", cls=LazyGroup)
def command() -> None:
    """Look at runs, compare them, export them."""


@command.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_runs(as_json: bool) -> None:
    """List all runs, the newest first."""
    with Store() as store:
        found = [_line(store, run) for run in store.runs()]
    if as_json:
        document(found)
        return
    if not found:
        note("no runs yet; start one with: localrl bench")
        return
    rows = [
        [
            run["run"],
            run["name"],
            run["created"][:16].replace("T", " "),
            run["status"],
            ":".join(filter(None, (run["model"], run["quantisation"]))),
            ", ".join(run["evals"]),
            f"{run['samples']:,}",
            percent(run["accuracy"]),
        ]
        for run in found
    ]
    table(["run", "name", "created", "status", "model", "evals", "samples", "accuracy"], rows, right=(6, 7))


@command.command("show")
@click.argument("run", default="last")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON document.")
def show(run: str, as_json: bool) -> None:
    """Show the report of RUN: an id, a name, or 'last'."""
    with Store() as store:
        made = report.make(store, store.find(run))
    if as_json:
        document(made)
    else:
        click.echo(summary(made))


@command.command("rm")
@click.argument("runs", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(runs: tuple[str, ...], yes: bool) -> None:
    """Delete RUNS with all their samples."""
    with Store() as store:
        found = [store.find(run) for run in runs]
        for run in found:
            if locks.is_locked(run):
                raise UsageError(f"run {run.id} is being worked on", hint="stop it first")
        if not yes:
            click.confirm(f"Delete {', '.join(run.id for run in found)}?", abort=True, err=True)
        for run in found:
            store.remove(run)
            note(f"deleted run {run.id}")


def _line(store: Store, run: Run) -> dict[str, Any]:
    made = report.make(store, run)
    outcomes = [part["outcomes"] for part in made["evals"]]
    samples = sum(sum(counts.values()) for counts in outcomes)
    correct = sum(counts["correct"] for counts in outcomes)
    return {
        "run": run.id,
        "name": run.name,
        "created": run.created,
        "status": "running" if locks.is_locked(run) else made["status"],
        "model": made["model"]["name"],
        "quantisation": made["model"]["quantisation"],
        "evals": [part["eval"] for part in made["evals"]],
        "samples": samples,
        "accuracy": correct / samples if samples else None,
    }

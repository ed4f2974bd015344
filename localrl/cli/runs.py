"""`localrl runs`: look at runs, compare them, export them."""

from __future__ import annotations

import click

from localrl.cli import arguments
from localrl.cli.lazy import LazyGroup
from localrl.cli.output import document, note, table
from localrl.cli.summary import summary
from localrl.errors import UsageError
from localrl.formats import percents
from localrl.report import listing, report
from localrl.store import locks
from localrl.store.runs import Store


@click.group("runs", cls=LazyGroup)
def command() -> None:
    """Look at runs, compare them, export them."""


@command.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_runs(as_json: bool) -> None:
    """List all runs, the newest first."""
    with Store() as store:
        found = listing.runs(store)
    if as_json:
        document([run.as_dict() for run in found])
        return
    if not found:
        note("no runs yet; start one with: localrl bench")
        return
    rows = [
        [
            run.id,
            run.report["name"],
            run.report["created"][:16].replace("T", " "),
            run.status,
            run.model,
            ", ".join(run.evals),
            f"{run.samples:,}",
            percents(run.accuracies.values()),
        ]
        for run in found
    ]
    table(["run", "name", "created", "status", "model", "evals", "samples", "accuracy"], rows, right=(6, 7))


@command.command("show")
@arguments.run(default="last")
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
@arguments.run("runs", nargs=-1, required=True)
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

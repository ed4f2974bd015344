"""`localrl runs`: look at runs, compare them, export them."""

from __future__ import annotations

import click

from localrl.cli import arguments, trainings
from localrl.cli.lazy import LazyGroup
from localrl.cli.output import document, note, table
from localrl.cli.summary import summary
from localrl.errors import UsageError
from localrl.formats import percents
from localrl.report import listing, report
from localrl.store import locks
from localrl.store.runs import Store
from localrl.store.trainings import Training

NO_RUNS = "no runs yet; start one with: localrl bench"


@click.group("runs", cls=LazyGroup)
def command() -> None:
    """Look at runs, compare them, export them."""


@command.command("ls")
@click.option("--trainings", "only_trainings", is_flag=True, help="List only trainings.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_runs(only_trainings: bool, as_json: bool) -> None:
    """List all runs, the newest first, and then trainings."""
    with Store() as store:
        found = [] if only_trainings else listing.runs(store)
        trained = [] if as_json and not only_trainings else trainings.listed(store)
    if as_json:
        document(trained if only_trainings else [run.as_dict() for run in found])
        return
    if not found and not trained:
        note("none yet; start one with: localrl train" if only_trainings else NO_RUNS)
    if found:
        _show_list(found)
    if trained:
        trainings.show_list(trained)


def _show_list(found: list[listing.ListedRun]) -> None:
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
    """Show the report of RUN, a run or a training: an id, a name, or 'last'."""
    with Store() as store:
        meant = trainings.run_or_training(store, run)
        if isinstance(meant, Training):
            trainings.show(store, meant, as_json)
            return
        made = report.make(store, meant)
    if as_json:
        document(made)
    else:
        click.echo(summary(made))


@command.command("rm")
@arguments.run("runs", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(runs: tuple[str, ...], yes: bool) -> None:
    """Delete RUNS with all their samples; a training also with its adapters and the runs that measured it."""
    with Store() as store:
        found = [trainings.run_or_training(store, run) for run in runs]
        for run in found:
            if locks.is_locked(run):
                raise UsageError(f"run {run.id} is being worked on", hint="stop it first")
        if not yes:
            click.confirm(f"Delete {', '.join(run.id for run in found)}?", abort=True, err=True)
        for run in found:
            if isinstance(run, Training):
                store.trainings.remove(run)
                note(f"deleted training {run.id}")
            else:
                store.remove(run)
                note(f"deleted run {run.id}")

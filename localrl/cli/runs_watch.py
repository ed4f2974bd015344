"""`localrl runs watch`: watch a run or a training that another process works on."""

from __future__ import annotations

import time

import click

from localrl.cli import arguments, trainings
from localrl.cli.output import note
from localrl.cli.progress import StatusLine, status
from localrl.runs.watching import RunWatcher
from localrl.store.locks import is_locked
from localrl.store.runs import Store
from localrl.store.trainings import Training

LOOK_EVERY_S = 1.0


@click.command("watch")
@arguments.run(default="last")
@click.option("--display", type=click.Choice(["full", "plain"]), help="Progress on stderr.")
def command(run: str, display: str | None) -> None:
    """Watch RUN while another localrl works on it, until that one ends; Ctrl-C watches no longer."""
    with Store() as store:
        found = trainings.run_or_training(store, run)
        if isinstance(found, Training):
            trainings.watch(store, found, display)
            return
        watch = RunWatcher(store, found)
        at_work = True
        with StatusLine(display) as line:
            while at_work:
                at_work = is_locked(found)  # before the look, which then sees all that was committed
                watch.look()
                line.show(lambda: status(watch.progress))
                time.sleep(LOOK_EVERY_S if at_work else 0)
        ended = store.find(found.id).status
    if ended == "complete":
        note(f"run {found.id} is complete; look at it with: localrl runs show {found.id}")
    else:
        note(f"nobody works on run {found.id}; go on with: localrl bench --resume {found.id}")

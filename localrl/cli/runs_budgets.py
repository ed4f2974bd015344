"""`localrl runs budgets`: answer at thinking budgets from what a run's samples thought."""

from __future__ import annotations

from typing import Any

import click

from localrl.cli import arguments
from localrl.cli.flags import BUDGET_ANSWER, CA_FILE, HEADER, BudgetList
from localrl.cli.interrupts import Interrupts
from localrl.cli.output import document, note
from localrl.cli.progress import StatusLine
from localrl.cli.summary import summary
from localrl.engine.protocol import ServerOptions
from localrl.errors import INTERRUPTED, Stopped
from localrl.report import report
from localrl.runs import replay, session
from localrl.store import locks
from localrl.store.runs import Store


@click.command("budgets")
@arguments.run(default="last")
@click.option("--budgets", type=BudgetList(), default="log2", show_default=True, help="512,1024 or log2.")
@BUDGET_ANSWER
@HEADER
@CA_FILE
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON document.")
@click.option("--display", type=click.Choice(["full", "plain", "none"]), help="Progress on stderr.")
def command(run: str, budgets: Any, budget_answer_tokens: int, **options: Any) -> int:
    """Cut the stored thinking of RUN at each budget, and let its model answer from there.

    What is there already is not made again; a report marks these answers as replayed.
    """
    with Store() as store, Interrupts() as interrupts:
        found = store.find(run)
        plan = session.plan_of(found, ServerOptions(options["header"], {}, options["ca_file"] or ""))
        replay.check(plan)
        total = replay.lacking(store, found, plan, budgets)
        try:
            with (
                locks.lock(found),
                session.loaded(plan, interrupts.stopping) as (engine, _, pool, _),
                StatusLine(options["display"]) as line,
            ):
                work = replay.Replay(store, found, plan, engine, pool, budgets, budget_answer_tokens)
                for _ in work.events():
                    line.show(lambda: f"{work.done}/{total} answers")
        except Stopped as stopped:
            note(str(stopped))
            return INTERRUPTED
        made = report.make(store, store.find(found.id))
    if options["as_json"]:
        document(made)
    else:
        click.echo(summary(made))
    if interrupts.stopping.is_set():
        note(f"interrupted; go on with the same command: {work.done} of {total} answers are kept")
        return INTERRUPTED
    note(f"{work.done} answers were added to run {found.id}")
    return 0

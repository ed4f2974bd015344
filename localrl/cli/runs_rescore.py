"""`localrl runs rescore`: judge stored texts again, and show what changed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from localrl.cli import arguments
from localrl.cli.output import document, note, table
from localrl.cli.summary import summary
from localrl.report import report
from localrl.runs.rescore import Change, rescore
from localrl.store import locks
from localrl.store.runs import Store
from localrl.verify.pool import VerifierPool

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command("rescore")
@arguments.run(default="last")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: the changes and the report.")
def command(run: str, as_json: bool) -> None:
    """Judge the stored texts of RUN with today's verifiers; nothing is generated."""
    with Store() as store:
        found = store.find(run)
        with locks.lock(found), VerifierPool() as pool:
            changes = list(rescore(store, found, pool))
        made = report.make(store, store.find(found.id))
    if as_json:
        document({"changes": [asdict(change) for change in changes], "report": made})
        return
    show_changes(changes)
    note(f"{len(changes)} verdicts changed")
    click.echo(summary(made))


def show_changes(changes: Sequence[Change]) -> None:
    if changes:
        columns = ["eval", "problem", "sample", "before", "after", "extracted"]
        table(columns, [_row(change) for change in changes])


def _row(c: Change) -> list[str]:
    sample = str(c.index) if c.budget is None else f"{c.index} at {c.budget}"
    return [c.eval, c.problem, sample, c.before or "–", c.after, _one_line(c.extracted)]


def _one_line(text: str | None) -> str:
    return " ".join((text or "–").split())[:80]

"""`localrl runs export`: write a run in the format of another tool, or in our own to keep or send."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from localrl.cli import arguments
from localrl.cli.output import note
from localrl.errors import UsageError, nearest
from localrl.formats import size
from localrl.report import exports, results
from localrl.store.runs import Store


class _Export(click.Command):
    """Says in its help what each format writes, which takes importing them."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = []
        for name, member in exports.FORMATS.members.items():
            if fault := exports.FORMATS.fault(member):
                rows.append((name, fault))
                continue
            extra = exports.extra(name)
            rows.append((name, exports.FORMATS.about(name) + (f" Needs {extra}." if extra else "")))
        with formatter.section("Formats"):
            formatter.write_dl(rows)


@click.command("export", cls=_Export)
@arguments.run(default="last")
@click.option(
    "--format", "form", type=click.Choice(exports.FORMATS.names()), default="jsonl", show_default=True
)
@click.option("--eval", "eval_name", help="Only this eval of the run.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write; else standard output.")
def command(run: str, form: str, eval_name: str | None, output: Path | None) -> None:
    """Write RUN (an id, a name, or 'last') with all its samples."""
    with Store() as store:
        found = results.find(store, run)
        names = [entry["eval"] for entry in found.report["evals"]]
        if eval_name and eval_name not in names:
            raise UsageError(f"run {found.run.id} has no eval {eval_name!r}", hint=nearest(eval_name, names))
        part = results.OneEval(found, eval_name) if eval_name else found
        exports.export(part, form, output, sys.stdout.buffer)
    if output:
        note(f"wrote {output} ({size(output.stat().st_size)})")

"""`localrl runs import`: read runs that another localrl exported."""

from __future__ import annotations

from pathlib import Path

import click

from localrl.cli.output import note
from localrl.report import bundle
from localrl.report.importing import put, read_jsonl
from localrl.store.runs import Store


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def command(files: tuple[Path, ...]) -> None:
    """Keep the runs in FILES, made by `runs export --format jsonl` or `runs publish`, under new ids."""
    with Store() as store:
        for file in files:
            with bundle.as_jsonl(file) as lines:
                kept = put(store, read_jsonl(lines))
            note(f"kept as run {kept.id}")
            click.echo(kept.id)

"""`localrl runs report`: write one file that says what runs were worth, to open, print or send."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from localrl.cli import arguments
from localrl.cli.flags import Real
from localrl.cli.output import note
from localrl.formats import size
from localrl.report import results, writing
from localrl.store.runs import Store


@click.command("report")
@arguments.run("runs", nargs=-1)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File, or folder for plots; else stdout."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(writing.FORMATS),
    help="Default: by the file's ending; Markdown on stdout.",
)
@click.option(
    "--transcripts",
    type=click.Choice(writing.TRANSCRIPTS),
    default="all",
    show_default=True,
    help="Which texts an HTML report carries.",
)
@click.option(
    "--max-texts", type=click.IntRange(min=0), default=20_000, show_default=True, help="At most so many."
)
@click.option("--max-mb", type=Real(min=0), default=32, show_default=True, help="And so large, packed.")
def command(
    runs: tuple[str, ...], output: Path | None, form: str | None, max_mb: float, **texts: Any
) -> None:
    """Report on RUNS (default: the last), compared with the first when there are several.

    An HTML report is one file that opens without a network, texts included.
    """
    ending = output.suffix.lstrip(".") if output else ""
    chosen = form or (ending if ending in writing.FORMATS else "html" if output else "md")
    with Store() as store:
        made = writing.write(
            [results.find(store, run) for run in runs or ("last",)],
            chosen,
            output,
            None if output else sys.stdout.buffer,
            **texts,
            max_bytes=int(max_mb * 1e6),
        )
    for path in made:
        note(f"wrote {path} ({size(path.stat().st_size)})")

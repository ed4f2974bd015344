"""`localrl runs compare`: compare runs on the problems that they share."""

from __future__ import annotations

import click

from localrl.cli import arguments
from localrl.cli.flags import Real
from localrl.cli.output import document
from localrl.report import comparison, comparison_summary, results
from localrl.store.runs import Store


@click.command("compare")
@arguments.run("runs", nargs=-1, required=True)
@click.option(
    "--flips", type=click.IntRange(min=0), default=10, show_default=True, help="Flipped problems shown."
)
@click.option("--level", type=Real(0.5, 0.999), default=0.95, show_default=True, help="Of the intervals.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(runs: tuple[str, ...], flips: int, level: float, as_json: bool) -> None:
    """Compare RUNS with the first of them: accuracy problem by problem, speed, memory, yield.

    A run is an id, the beginning of one, a name, or 'last'.
    """
    with Store() as store:
        compared = comparison.compare([results.find(store, run) for run in runs], level)
    if as_json:
        document(compared.as_dict())
    else:
        click.echo(comparison_summary.text(comparison_summary.of_comparison(compared), flips))

"""`localrl runs check`: verify a bundle and judge its texts again."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from pathlib import Path

import click

from localrl.cli.output import document, note
from localrl.cli.runs_rescore import show_changes
from localrl.report import bundle, checking, run_summary
from localrl.verify.pool import VerifierPool


@click.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--signers", type=click.Path(exists=True, path_type=Path), help="ssh-keygen's ALLOWED SIGNERS file."
)
@click.option("--no-judge", is_flag=True, help="Check the file only; judge nothing again.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(file: Path, signers: Path | None, no_judge: bool, as_json: bool) -> int:
    """Verify a bundle of `runs publish`: not a byte changed, who signed, and the same verdicts today."""
    found = bundle.read(file)
    signer = bundle.signer(found.header, signers) if found.header.signature or signers else ""
    with contextlib.ExitStack() as stack:
        pool = None if no_judge else stack.enter_context(VerifierPool())
        checked = checking.check(found, pool)
    if as_json:
        told = {"report": found.run["report"], "signer": signer or None, **asdict(checked)}
        document(told)
    else:
        report = found.run["report"]
        click.echo(f"{file}: unchanged, {run_summary.model_name(report)}, run {report['run']}")
        click.echo(signer or "not signed")
        click.echo(
            f"{checked.samples:,} samples, as the report counts them; {checked.judged:,} judged again, "
            f"{len(checked.changes):,} verdicts changed"
            if checked.samples
            else "its texts are not in it, only the root of their hashes"
        )
        show_changes(checked.changes)
    if checked.changes:
        note("verdicts differ: another version of a verifier, or of a package that it uses")
    return 1 if checked.changes else 0

"""`localrl models pull`: download a model, and go on where an earlier attempt stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from localrl.catalog import pull, reference
from localrl.cli import arguments
from localrl.cli.output import document, note
from localrl.cli.progress import StatusLine
from localrl.errors import UsageError, nearest
from localrl.formats import bandwidth, duration, part_of_size, percent, size

if TYPE_CHECKING:
    from localrl.catalog.hub import HubName


@click.command("pull")
@arguments.model()
@click.option("--dry-run", is_flag=True, help="Say what would be fetched, and fetch nothing.")
@click.option(
    "--source",
    type=click.Choice(["huggingface", "modelscope"]),
    help="Ask only this hub; by default ModelScope is asked where Hugging Face cannot be reached.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(model: str, dry_run: bool, source: HubName | None, as_json: bool) -> None:
    """Download MODEL[:QUANTISATION]; call it again to go on after an interruption.

    MODEL is a card's name or a hub repo. The files go where huggingface-hub keeps them, so that other
    programs share them.
    """
    wanted = reference.parse(model)
    if wanted is None:
        from localrl.catalog import card as cards

        known = cards.available()
        if model in known:
            note(f"{model} comes with a Python package; nothing to download")
            if as_json:
                document({"files": []})
            return
        hint = "write OWNER/NAME or OWNER/NAME:QUANTISATION" if "/" in model else nearest(model, known)
        raise UsageError(f"no card or hub repo {model!r}", hint=hint)
    job = pull.prepare(wanted, source)
    if dry_run:
        _show_plan(job, as_json)
        return
    missing = f"{size(job.missing)} to fetch" if job.missing else "all here"
    note(f"{wanted.name} from {job.listing.repo}: {_files(len(job.files))}, {missing}")
    try:
        with StatusLine() as line:
            pulled = pull.pull(job, report=lambda progress: line.show(lambda: _status(progress)))
    except KeyboardInterrupt:
        note(f"stopped; what is here is kept, go on with: localrl models pull {model}")
        raise
    try:
        pull.check(pulled)
    except UsageError as error:
        note(f"beware: these are the hub's bytes, but {error.args[0]}")
    if as_json:
        keys = ("bytes", "sha256", "resumed_bytes")
        files = [{"path": str(file.path)} | {key: getattr(file, key) for key in keys} for file in pulled]
        document({"files": files})
    else:
        for file in pulled:
            click.echo(file.path)


def _files(count: int) -> str:
    return f"{count} file{'s' * (count > 1)}"


def _show_plan(job: pull.PullPlan, as_json: bool) -> None:
    if as_json:
        files = [{"path": file.path, "bytes": file.size, "sha256": file.sha256} for file in job.files]
        document({"repo": job.listing.repo, "files": files, "bytes": job.total, "missing_bytes": job.missing})
        return
    for file in job.files:
        click.echo(f"{size(file.size):>10}  {file.path}")
    note(f"{size(job.total)} in all, {size(job.missing)} to fetch")


def _status(progress: pull.PullProgress) -> str:
    share = progress.got / progress.total if progress.total else 1.0
    speed = bandwidth(progress.bytes_per_s) if progress.bytes_per_s else ""
    left = duration(progress.eta_s) if progress.eta_s is not None and share < 1 else ""
    file = f"  file {progress.number} of {progress.count}" if progress.count > 1 else ""
    return f"{percent(share):>7}  {part_of_size(progress.got, progress.total)}  {speed}  {left}{file}"

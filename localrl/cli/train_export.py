"""`localrl train export`: write the adapter of a training for other programs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localrl import paths
from localrl.cli.flags import count
from localrl.cli.output import note
from localrl.errors import UsageError
from localrl.formats import size
from localrl.store.runs import Store
from localrl.train.plan import TrainPlan

if TYPE_CHECKING:
    from localrl.store.trainings import Training


@click.command("export")
@click.argument("run", default="last")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Adapter as a GGUF file, for llama.cpp."
)
@click.option("--peft", type=click.Path(path_type=Path, file_okay=False), help="Folder, for PEFT.")
@click.option("--merged", type=click.Path(path_type=Path, dir_okay=False), help="Whole model as a GGUF file.")
@click.option("--step", type=count(), help="The adapter after N steps, where it was measured; else the last.")
def command(run: str, output: Path | None, peft: Path | None, merged: Path | None, step: int | None) -> None:
    """Write the adapter of RUN, a training: an id, a name, or 'last'."""
    if not (output or peft or merged):
        raise UsageError("say what to write", hint="-o adapter.gguf, --peft DIR or --merged FILE.gguf")
    with Store() as store:
        training = store.trainings.find(run)
        path = _adapter(training, step or len(store.trainings.steps(training)))
    model = Path(TrainPlan.model_validate(training.manifest["plan"]).measured.engine.model)
    if output:
        with paths.whole_file(output) as out, path.open("rb") as made:
            shutil.copyfileobj(made, out)
        note(f"wrote {output} ({size(output.stat().st_size)})")
    if peft or merged:
        from localrl.train import adapter

        found = adapter.read(path)
        if peft:
            found.write_peft(peft, model)
            note(f"wrote {peft}")
        if merged:
            found.write_merged(merged, model)
            note(f"wrote {merged} ({size(merged.stat().st_size)})")


def _adapter(training: Training, step: int) -> Path:
    path = training.adapter(step)
    if path.exists():
        return path
    kept = sorted(int(each.stem.rpartition("-")[2]) for each in training.folder.glob("adapter-*"))
    if not kept:
        raise UsageError(f"training {training.id} has no adapter yet")
    raise UsageError(
        f"training {training.id} kept no adapter of step {step}",
        hint=f"it has those after {', '.join(map(str, kept))} steps",
    )

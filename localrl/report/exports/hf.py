"""Scores as the hub's model pages show them: a file for `.eval_results/` in a model's repository.

Only evals whose data are a data set of the hub have a place there. The value is in per cent; the notes say
how it was measured, quantisation first. Nothing is sent: open a pull request with the file.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from localrl.errors import UsageError
from localrl.report.exports import _origin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localrl.report.results import Results

SUFFIX = ".yaml"


def write(run: Results, out: IO[bytes]) -> None:
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    from huggingface_hub.utils._fixes import yaml_dump

    entries = [
        EvalResultEntry(
            dataset_id=hub["dataset"],
            task_id="default",
            dataset_revision=hub.get("revision"),
            value=round(100 * entry["accuracy"]["value"], 2),
            date=run.report["created"],
            notes=_notes(run.report, entry),
        )
        for entry in run.report["evals"]
        if entry["accuracy"] and (hub := _origin.hub_data(run, entry["eval"]))
    ]
    if not entries:
        raise UsageError(
            "no eval of this run has its data on the hub, so its model pages have no place for it"
        )
    out.write(yaml_dump(eval_result_entries_to_yaml(entries)).encode())


def _notes(report: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    accuracy, model = entry["accuracy"], report["model"]
    parts = [
        f"localrl, {model['quantisation'] or 'full precision'}, {report['backend']['name']}",
        f"{entry['problems']} problems, {entry['samples']} samples",
        f"95 % interval {100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f}",
        *entry["deviations"],
    ]
    return "; ".join(parts)

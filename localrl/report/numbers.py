"""The numbers of runs for programs: CSV with a line an eval, and one JSON document."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from localrl import jsontext
from localrl.report import comparison, metrics, run_summary
from localrl.report.tables import formula_free

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from localrl.report.results import Results


def csv_table(runs: Sequence[Results]) -> str:
    """One line an eval and run, every number in its own column."""
    out = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for run, name in zip(runs, comparison.names([run.report for run in runs]), strict=True):
        found = asdict(metrics.of_run(run.report, name))
        for entry in run_summary.judged(run.report):
            row = {
                "run": found["run"],
                "name": name,
                **_eval(entry),
                **{key: found[key] for key in found if key not in ("run", "name", "correct")},
            }
            if writer is None:
                writer = csv.DictWriter(out, list(row))
                writer.writeheader()
            writer.writerow({key: formula_free(value) for key, value in row.items()})
    return out.getvalue()


def _eval(entry: Mapping[str, Any]) -> dict[str, Any]:
    done = entry["completed"]["accuracy"]
    return {
        "eval": entry["eval"],
        "problems": entry["problems"],
        "samples": metrics.samples(entry),
        "k": entry["samples"],
        **entry["outcomes"],
        "accuracy": entry["accuracy"]["value"],
        "low": entry["accuracy"]["low"],
        "high": entry["accuracy"]["high"],
        "repeat_low": entry["repeatability"]["low"],
        "repeat_high": entry["repeatability"]["high"],
        "pass_at_k": list(entry["pass_at"].values())[-1],
        "majority_at_k": next(reversed(entry["majority_at"].values()), None),
        "shortest_majority_at_k": next(reversed(entry["shortest_majority_at"].values()), None),
        "completed_accuracy": done and done["value"],
        "not_completed": entry["completed"]["cut_share"],
        "if_verifier_errors_wrong": entry["verifier_bounds"]["low"],
        "if_verifier_errors_right": entry["verifier_bounds"]["high"],
        "tokens": metrics.generated(entry),
    }


def json_document(runs: Sequence[Results]) -> str:
    """Reports, statistics and the comparison as one JSON document."""
    names = comparison.names([run.report for run in runs])
    compared = comparison.of_sharing(runs) if len(runs) > 1 else None
    document: dict[str, Any] = {
        "schema": 1,
        "runs": [
            {
                "name": name,
                "report": run.report,
                "command": run_summary.command(run.report),
                "evals": [_statistics(entry) for entry in run_summary.judged(run.report)],
                "figures": asdict(metrics.of_run(run.report, name)),
            }
            for run, name in zip(runs, names, strict=True)
        ],
        "comparison": compared.as_dict() if compared else None,
    }
    return jsontext.dumps(document, indent=2) + "\n"


def _statistics(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in the report's entry, under the names that this document has had from the first."""
    same = ("eval", "problems", "accuracy", "repeatability", "pass_at", "majority_at", "completed")
    return {
        **{key: entry[key] for key in same},
        "samples": metrics.samples(entry),
        "k": str(entry["samples"]),
        "bounds": list(entry["verifier_bounds"].values()),
        "outcomes": {name: count for name, count in entry["outcomes"].items() if count},
        "tokens": metrics.generated(entry),
        **{key: entry[key] for key in ("shortest_majority_at", "published", "deviations", "stopped")},
    }

"""The results of lm-evaluation-harness: scores by task, so that tools which collect those read ours."""

from __future__ import annotations

from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

from localrl import __version__, jsontext, stats
from localrl.report.run_summary import judged

if TYPE_CHECKING:
    from localrl.report.results import Results

SUFFIX = ".json"
METRIC = "exact_match"


def write(run: Results, out: IO[bytes]) -> None:
    out.write(jsontext.dumps(results(run), indent=2).encode("utf-8", "replace") + b"\n")


def results(run: Results) -> dict[str, Any]:
    """The document; its standard error is the interval's, and the interval itself stands beside it."""
    report = run.report
    model, sampling, created = report["model"], report["sampling"], report["created"]
    document: dict[str, Any] = {
        "results": {},
        "group_subtasks": {},
        "configs": {},
        "versions": {},
        "n-shot": {},
        "higher_is_better": {},
        "n-samples": {},
        "config": {
            "model": f"localrl/{report['backend']['name']}",
            "model_args": ",".join(f"{k}={v}" for k, v in model.items() if v is not None),
            "gen_kwargs": sampling,
            "random_seed": sampling.get("seed"),
        },
        "date": datetime.fromisoformat(created).timestamp(),
        "localrl_version": __version__,
        "localrl_run": report["run"],
        "model_source": "localrl",
        "model_name": model["name"],
        "model_name_sanitized": "".join(c if c.isalnum() or c in "-._" else "_" for c in model["name"]),
        "total_evaluation_time_seconds": str(report["speed"]["wall_s"] or ""),
    }
    for entry in judged(report):
        task, interval = entry["eval"], stats.Interval(**entry["accuracy"])
        key = f"{METRIC},{entry['extractor']}"
        document["results"][task] = {
            "alias": task,
            key: interval.value,
            key.replace(",", "_stderr,"): interval.standard_error,
            key.replace(",", "_low,"): interval.low,
            key.replace(",", "_high,"): interval.high,
        }
        document["group_subtasks"][task] = []
        document["configs"][task] = {
            "task": task,
            "output_type": "generate_until",
            "repeats": entry["samples"],
            "num_fewshot": 0,
            "generation_kwargs": sampling,
            "metric_list": [{"metric": METRIC, "aggregation": "mean", "higher_is_better": True}],
            "metadata": {"version": entry["version"], "verifier": entry["verifier"]},
        }
        document["versions"][task] = entry["version"]
        document["n-shot"][task] = 0
        document["higher_is_better"][task] = {METRIC: True}
        document["n-samples"][task] = {"original": entry["problems"], "effective": entry["problems"]}
    return document

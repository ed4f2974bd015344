"""The results file of lm-evaluation-harness: scores by task, so that tools which collect those read ours."""

from __future__ import annotations

from datetime import datetime
from statistics import NormalDist
from typing import IO, TYPE_CHECKING, Any

from localrl import __version__, jsontext, stats
from localrl.report import metrics

if TYPE_CHECKING:
    from localrl.report.results import Results

METRIC = "exact_match"


def write(run: Results, out: IO[bytes]) -> None:
    out.write(jsontext.dumps(results(run), indent=2).encode("utf-8", "replace") + b"\n")


def results(run: Results) -> dict[str, Any]:
    """The document.

    Its standard error is the generalisation interval's half width over the normal quantile, since the harness
    has no field for an interval that is not symmetric; the interval itself stands beside it.
    """
    report = run.report
    model, sampling = report.get("model") or {}, report.get("sampling") or {}
    about = {entry.get("eval"): entry for entry in report.get("evals") or []}
    name = str(model.get("name", "model"))
    document: dict[str, Any] = {
        "results": {},
        "group_subtasks": {},
        "configs": {},
        "versions": {},
        "n-shot": {},
        "higher_is_better": {},
        "n-samples": {},
        "config": {
            "model": f"localrl/{(report.get('backend') or {}).get('name', 'unknown')}",
            "model_args": ",".join(f"{k}={v}" for k, v in model.items() if v is not None),
            "gen_kwargs": sampling,
            "random_seed": sampling.get("seed"),
        },
        "date": datetime.fromisoformat(str(report["created"])).timestamp() if report.get("created") else None,
        "localrl_version": __version__,
        "localrl_run": report.get("run"),
        "model_source": "localrl",
        "model_name": name,
        "model_name_sanitized": "".join(c if c.isalnum() or c in "-._" else "_" for c in name),
        "total_evaluation_time_seconds": str((report.get("speed") or {}).get("wall_s") or ""),
    }
    for task, problems in run.groups.items():
        n, c = metrics.arrays(problems.values())
        interval, entry = stats.generalisation(n, c), about.get(task, {})
        key = f"{METRIC},{entry.get('extractor', 'none')}"
        z = NormalDist().inv_cdf((1 + interval.level) / 2)
        document["results"][task] = {
            "alias": task,
            key: interval.value,
            key.replace(",", "_stderr,"): interval.half_width / z,
            key.replace(",", "_low,"): interval.low,
            key.replace(",", "_high,"): interval.high,
        }
        document["group_subtasks"][task] = []
        document["configs"][task] = {
            "task": task,
            "output_type": "generate_until",
            "repeats": int(n.max()),
            "num_fewshot": 0,
            "generation_kwargs": sampling,
            "metric_list": [{"metric": METRIC, "aggregation": "mean", "higher_is_better": True}],
            "metadata": {"version": entry.get("version"), "verifier": entry.get("verifier")},
        }
        document["versions"][task] = entry.get("version")
        document["n-shot"][task] = 0
        document["higher_is_better"][task] = {METRIC: True}
        document["n-samples"][task] = {"original": entry.get("problems", len(n)), "effective": len(n)}
    return document

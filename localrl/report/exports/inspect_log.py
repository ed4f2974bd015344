"""A log that Inspect reads (`inspect view`, `inspect log dump`): its .eval format, a ZIP of JSON.

Written without importing Inspect, from its log schema version 2; one JSON file a sample, so it streams.
"""

from __future__ import annotations

import zipfile
from statistics import NormalDist
from typing import IO, TYPE_CHECKING, Any

from localrl import __version__, jsontext, stats
from localrl.errors import UsageError
from localrl.report import metrics
from localrl.verdict import Outcome

if TYPE_CHECKING:
    from localrl.report.results import Results
    from localrl.sample import Sample

_STOPS: dict[Outcome | None, str] = {
    Outcome.TRUNCATED: "max_tokens",
    Outcome.LOOPED: "unknown",
    Outcome.ENGINE_ERROR: "unknown",
}
_STATUS = {"complete": "success", "partial": "cancelled", "failed": "error"}


def write(run: Results, out: IO[bytes]) -> None:
    """Write a run of one eval.

    Raises:
        UsageError: the run holds several evals, which Inspect keeps in a file each.
    """
    counted = run.groups
    if len(counted) != 1:
        raise UsageError(
            f"an Inspect log holds one eval, and this run has {len(counted)}: {', '.join(counted) or 'none'}",
            hint="choose one with --eval",
        )
    ((task, problems),) = counted.items()
    start, summaries = _start(run.report, task, list(problems)), []
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as log:
        log.writestr("_journal/start.json", _json(start))
        for sample in run.samples():
            full = _sample(run.report, sample)
            log.writestr(f"samples/{full['id']}_epoch_{full['epoch']}.json", _json(full))
            kept = ("id", "epoch", "input", "target", "scores", "model_usage", "uuid")
            summaries.append({key: full[key] for key in kept} | {"completed": True, "message_count": 2})
        log.writestr("_journal/summaries/1.json", _json(summaries))
        log.writestr("summaries.json", _json(summaries))
        n, c = metrics.arrays(problems.values())
        header = start | _results(run.report, stats.generalisation(n, c), int(n.sum()), _usage(summaries))
        log.writestr("header.json", _json(header))


def _start(report: dict[str, Any], task: str, problems: list[str]) -> dict[str, Any]:
    entry: dict[str, Any] = next((e for e in report.get("evals") or [] if e.get("eval") == task), {})
    sampling = report.get("sampling") or {}
    return {
        "version": 2,
        "eval": {
            "run_id": str(report.get("run", "")),
            "eval_id": f"{report.get('run', '')}-{task}",
            "created": report.get("created"),
            "task": task,
            "task_id": f"{report.get('run', '')}-{task}",
            "task_version": entry.get("version", 0),
            "task_args": {},
            "dataset": {"name": task, "samples": len(problems), "sample_ids": problems, "shuffled": False},
            "model": _model(report),
            "model_generate_config": _generate_config(sampling),
            "model_args": {k: v for k, v in (report.get("model") or {}).items() if v is not None},
            "config": {"epochs": entry.get("samples", 1)},
            "packages": {"localrl": __version__},
            "metadata": {"backend": report.get("backend"), "hardware": report.get("hardware")},
        },
        "plan": {
            "name": "plan",
            "steps": [{"solver": "generate", "params": {}}],
            "config": _generate_config(sampling),
        },
    }


def _results(
    report: dict[str, Any], interval: stats.Interval, samples: int, usage: dict[str, int]
) -> dict[str, Any]:
    values = {
        "accuracy": interval.value,
        "stderr": interval.half_width / NormalDist().inv_cdf((1 + interval.level) / 2),
        "low": interval.low,
        "high": interval.high,
    }
    created = report.get("created") or ""
    return {
        "status": _STATUS.get(str(report.get("status")), "success"),
        "results": {
            "total_samples": samples,
            "completed_samples": samples,
            "scores": [
                {
                    "name": "verifier",
                    "scorer": "verifier",
                    "scored_samples": samples,
                    "params": {},
                    "metrics": {k: {"name": k, "value": v, "params": {}} for k, v in values.items()},
                    "metadata": {"interval": interval.method, "level": interval.level},
                }
            ],
        },
        "stats": {
            "started_at": created,
            "completed_at": report.get("finished") or created,
            "model_usage": {_model(report): usage},
        },
    }


def _sample(report: dict[str, Any], sample: Sample) -> dict[str, Any]:
    problem, response, model = sample.problem, sample.response, _model(report)
    usage = {
        "input_tokens": sample.prompt_tokens,
        "output_tokens": sample.tokens,
        "total_tokens": sample.prompt_tokens + sample.tokens,
        "reasoning_tokens": sample.thinking_tokens,
    }
    content = [{"type": "text", "text": response.answer}]
    if response.thinking:
        content.insert(0, {"type": "reasoning", "reasoning": response.thinking})
    reply = {"role": "assistant", "content": content, "source": "generate", "model": model}
    prompt = [m.model_dump() for m in problem.messages]
    target = problem.target
    return {
        "id": problem.id,
        "epoch": sample.index + 1,
        "input": prompt,
        "target": target if isinstance(target, str) else jsontext.dumps(target),
        "messages": [*prompt, reply],
        "output": {
            "model": model,
            "choices": [{"message": reply, "stop_reason": _STOPS.get(sample.outcome, "stop")}],
            "completion": response.answer,
            "usage": usage,
        },
        "scores": {
            "verifier": {
                "value": "C" if sample.outcome == Outcome.CORRECT else "I",
                "answer": sample.extracted or "",
                "explanation": f"{sample.outcome}: extracted {sample.extracted!r}",
                "metadata": {"outcome": sample.outcome, "score": sample.score, **sample.detail},
            }
        },
        "metadata": {"seed": sample.seed, "ttft_s": sample.ttft_s, "tokens_per_s": sample.tokens_per_s},
        "model_usage": {model: usage},
        "uuid": f"{report.get('run', '')}-{problem.id}-{sample.index}",
    }


def _model(report: dict[str, Any]) -> str:
    model = report.get("model") or {}
    words = [str(model[key]) for key in ("name", "quantisation") if model.get(key)]
    return "localrl/" + (":".join(words) or "model")


def _generate_config(sampling: dict[str, Any]) -> dict[str, Any]:
    keys = ("temperature", "top_p", "top_k", "max_tokens", "seed")
    return {key: sampling[key] for key in keys if sampling.get(key) is not None}


def _usage(summaries: list[dict[str, Any]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for summary in summaries:
        for usage in summary["model_usage"].values():
            for key, value in usage.items():
                total[key] = total.get(key, 0) + value
    return total


def _json(value: Any) -> bytes:
    return jsontext.dumps(value).encode("utf-8", "replace")

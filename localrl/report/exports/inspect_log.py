"""A log of Inspect, one eval a file, for `inspect view` and `inspect log dump`.

Its .eval format is a ZIP of JSON, one file a sample, so it streams. Written without importing Inspect,
from its log schema version 2.
"""

from __future__ import annotations

import zipfile
from typing import IO, TYPE_CHECKING, Any

from localrl import __version__, jsontext, stats
from localrl.errors import UsageError
from localrl.report import metrics
from localrl.report.run_summary import judged, model_name
from localrl.verdict import Outcome

if TYPE_CHECKING:
    from localrl.report.results import Results
    from localrl.sample import Sample

NAME = "inspect"
SUFFIX = ".eval"
BINARY = True
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
    entries = judged(run.report)
    if len(entries) != 1:
        names = ", ".join(entry["eval"] for entry in entries) or "none"
        raise UsageError(
            f"an Inspect log holds one eval, and this run has {len(entries)}: {names}",
            hint="choose one with --eval",
        )
    (entry,) = entries
    problems = list(run.groups[entry["eval"]])
    start, summaries = _start(run.report, entry, problems), []
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as log:
        log.writestr("_journal/start.json", _json(start))
        for sample in run.samples():
            full = _sample(run.report, sample)
            log.writestr(f"samples/{full['id']}_epoch_{full['epoch']}.json", _json(full))
            kept = ("id", "epoch", "input", "target", "scores", "model_usage", "uuid")
            summaries.append({key: full[key] for key in kept} | {"completed": True, "message_count": 2})
        log.writestr("_journal/summaries/1.json", _json(summaries))
        log.writestr("summaries.json", _json(summaries))
        header = start | _results(run.report, entry, _usage(summaries))
        log.writestr("header.json", _json(header))


def _start(report: dict[str, Any], entry: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    task, run, sampling = entry["eval"], report["run"], report["sampling"]
    return {
        "version": 2,
        "eval": {
            "run_id": run,
            "eval_id": f"{run}-{task}",
            "created": report.get("created"),
            "task": task,
            "task_id": f"{run}-{task}",
            "task_version": entry["version"],
            "task_args": {},
            "dataset": {"name": task, "samples": len(problems), "sample_ids": problems, "shuffled": False},
            "model": _model(report),
            "model_generate_config": _generate_config(sampling),
            "model_args": {k: v for k, v in report["model"].items() if v is not None},
            "config": {"epochs": entry["samples"]},
            "packages": {"localrl": __version__},
            "metadata": {"backend": report["backend"], "hardware": report["hardware"]},
        },
        "plan": {
            "name": "plan",
            "steps": [{"solver": "generate", "params": {}}],
            "config": _generate_config(sampling),
        },
    }


def _results(report: dict[str, Any], entry: dict[str, Any], usage: dict[str, int]) -> dict[str, Any]:
    interval, samples = stats.Interval(**entry["accuracy"]), metrics.samples(entry)
    values = {
        "accuracy": interval.value,
        "stderr": interval.standard_error,
        "low": interval.low,
        "high": interval.high,
    }
    created = report["created"]
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
    return f"localrl/{model_name(report)}"


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

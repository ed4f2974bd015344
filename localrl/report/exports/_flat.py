"""A sample as one flat row, for every format that has one a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.report.results import Results
    from localrl.sample import Sample


def rows(run: Results) -> Iterator[dict[str, Any]]:
    """Every judged sample as JSON values; all have the same keys."""
    return (record(run.report["run"], sample) for sample in run.samples())


def record(run_id: str, sample: Sample) -> dict[str, Any]:
    """A sample as flat JSON values."""
    problem, response = sample.problem, sample.response
    return {
        "run": run_id,
        "eval": problem.eval,
        "problem": problem.id,
        "sample": sample.index,
        "outcome": sample.outcome,
        "score": sample.score,
        "prompt_tokens": sample.prompt_tokens,
        "thinking_tokens": sample.thinking_tokens,
        "answer_tokens": sample.answer_tokens,
        "ttft_s": sample.ttft_s,
        "tokens_per_s": sample.tokens_per_s,
        "seed": sample.seed,
        "target": problem.target,
        "extracted": sample.extracted,
        "finish": sample.finish,
        "messages": [m.model_dump() for m in problem.messages],
        "thinking": response.thinking,
        "answer": response.answer,
        "raw": response.raw,
        "detail": sample.detail,
        "stored": {
            "shared_tokens": sample.shared_tokens,
            "starts_thinking": sample.starts_thinking,
            "error": sample.error,
            "verifier": sample.verifier,
            "ended": sample.ended,
            "meta": problem.meta,
            **_at_budgets(sample),
        },
    }


def _at_budgets(sample: Sample) -> dict[str, Any]:
    """What the sample answered at thinking budgets, and those that it did not reach."""
    if not (sample.forks or sample.natural):
        return {}
    forks = [
        {
            "budget": fork.budget,
            "at": fork.at,
            "seed": fork.seed,
            "finish": fork.finish,
            "outcome": fork.outcome,
            "score": fork.score,
            "thinking_tokens": fork.thinking_tokens,
            "answer_tokens": fork.answer_tokens,
            "raw": fork.response.raw,
            "extracted": fork.extracted,
            "detail": fork.detail,
            "error": fork.error,
            "verifier": fork.verifier,
            "ended": fork.ended,
            "reopened": fork.reopened,
            "replayed": fork.replayed,
        }
        for fork in sample.forks
    ]
    return {"forks": forks, "natural": list(sample.natural)}

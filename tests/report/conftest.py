"""A run made up in memory, with texts that a report must survive."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from localrl.chat import Message, ThinkingTags
from localrl.engine.protocol import EngineSettings
from localrl.evals import spec
from localrl.report import metrics
from localrl.runs.plan import EvalPlan, RunPlan
from localrl.sample import Group, Problem, Sample, SampleRow, by_problem
from localrl.sampling import Sampling
from localrl.store.aggregates import GroupCounts
from localrl.verdict import INCOMPLETE, VERIFIER_FAILED, Outcome, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from localrl.report.budget_comparison import BudgetCounts
    from localrl.sample import Groups


@dataclass
class MadeRun:
    """Implements `Results` from a list of samples."""

    about: dict[str, Any]
    """The report without what follows from the samples."""
    made: list[Sample] = field(default_factory=list)
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def report(self) -> dict[str, Any]:
        for entry in self.about["evals"]:
            entry |= statistics([row for row in self.rows() if row.eval == entry["eval"]])
        return self.about

    @property
    def groups(self) -> Groups:
        return groups(self.made)

    @property
    def budget_counts(self) -> BudgetCounts:
        return {}

    def rows(self) -> list[SampleRow]:
        return [sample.row for sample in self.made]

    def questions(self) -> dict[tuple[str, str], tuple[str, str]]:
        return {
            (s.problem.eval, s.problem.id): (repr(s.problem.messages), json.dumps(s.problem.target))
            for s in self.made
        }

    def samples(self) -> Iterator[Sample]:
        return iter(self.made)


def groups(samples: Iterable[Sample]) -> Groups:
    found: Groups = {}
    for group in by_problem(samples):
        counted = Group(len(group), sum(s.outcome == "correct" for s in group), sum(s.tokens for s in group))
        found.setdefault(group[0].problem.eval, {})[group[0].problem.id] = counted
    return found


def statistics(rows: list[SampleRow]) -> dict[str, Any]:
    """What a report says of an eval with these samples."""
    counts: Counter[GroupCounts] = Counter()
    outcomes: dict[str, list[str | None]] = {}
    for row in rows:
        outcomes.setdefault(row.problem, []).append(row.outcome)
    for of_problem in outcomes.values():
        incomplete, failed = (sum(o in kind for o in of_problem) for kind in (INCOMPLETE, VERIFIER_FAILED))
        counts[GroupCounts(len(of_problem), of_problem.count("correct"), incomplete, failed)] += 1
    return {
        **metrics.evaluate(counts),
        "budgets": [],
        "budget_summary": None,
        "outcomes": {str(o): sum(row.outcome == o for row in rows) for o in Outcome},
        "tokens": {
            name: sum(getattr(row, f"{name}_tokens") for row in rows)
            for name in ("prompt", "thinking", "answer")
        },
    }


def made_run(
    run: str = "r1",
    problems: int = 12,
    k: int = 4,
    accuracy: float = 0.6,
    seed: int = 0,
    eval_name: str = "sums",
    **model: Any,
) -> MadeRun:
    """Problems of many difficulties (the same for every seed), answered with the given mean accuracy."""
    ease = np.random.default_rng(99).normal(0, 1.5, problems)
    chance = 1 / (1 + np.exp(-(ease + np.log(accuracy / (1 - accuracy)))))
    rng = np.random.default_rng(seed)
    samples = []
    for p in range(problems):
        asked = (Message(role="user", content=f"What is {p} + 40?"),)
        problem = Problem(f"{eval_name}-{p}", "", str(40 + p), eval=eval_name, messages=asked)
        for i in range(k):
            right = bool(rng.random() < chance[p])
            cut = not right and rng.random() < 0.3
            thinking = int(rng.lognormal(6 if right else 7, 0.5))
            extracted = None if cut else str(40 + p + (not right))
            thought = f"Let me see, {p} + 40 ..."
            answer = "" if cut else f"The answer is {extracted}."
            samples.append(
                Sample(
                    problem=problem,
                    index=i,
                    seed=1000 * p + i,
                    response=Response(
                        answer, thought, f"<think>{thought}" + ("" if cut else f"</think>{answer}")
                    ),
                    finish="length" if cut else "stop",
                    prompt_tokens=20,
                    thinking_tokens=thinking,
                    answer_tokens=0 if cut else 12,
                    ttft_s=0.1 + 0.01 * i,
                    tokens_per_s=float(rng.normal(30, 1)),
                    outcome=Outcome.CORRECT if right else Outcome.TRUNCATED if cut else Outcome.WRONG,
                    score=float(right),
                    extracted=extracted,
                )
            )
    correct = sum(s.outcome == "correct" for s in samples)
    return MadeRun(
        about={
            "schema": 1,
            "run": run,
            "name": None,
            "created": "2025-01-02T03:04:05+00:00",
            "status": "complete",
            "model": {
                "name": "tiny",
                "quantisation": "Q8_0",
                "sha256": "ab" * 32,
                "template_sha256": "t1",
                **model,
            },
            "backend": {
                "name": "llama.cpp",
                "version": "0.3.36",
                "parallel": 4,
                "context": 4096,
                "settings": {},
            },
            "hardware": {"device": "cpu", "memory_bytes": 8_000_000_000, "cpu": "a cpu", "os": "Linux"},
            "sampling": {
                "temperature": 0.6,
                "top_p": 0.95,
                "top_k": 20,
                "min_p": 0.0,
                "max_tokens": 2048,
                "seed": seed,
            },
            "evals": [
                {
                    "eval": eval_name,
                    "version": 1,
                    "problems": problems,
                    "samples": k,
                    "extractor": "boxed",
                    "verifier": "math",
                    "sampling": {
                        "temperature": 0.6,
                        "top_p": 0.95,
                        "top_k": 20,
                        "min_p": 0.0,
                        "max_tokens": 2048,
                    },
                    "published": [],
                    "stopped": None,
                    "deviations": ["quantised Q8_0"],
                }
            ],
            "speed": {
                "wall_s": 120.0,
                "prefill_tokens_per_s": 800.0,
                "decode_tokens_per_s": 90.0,
                "stream_tokens_per_s": {"p50": 30.0, "p95": 32.0},
                "ttft_s": {"p50": 0.1, "p95": 0.2},
                "peak_memory_bytes": 900_000_000,
                "correct_per_hour": correct * 30.0,
            },
        },
        made=samples,
    )


@pytest.fixture
def make_run() -> Callable[..., MadeRun]:
    return made_run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "home"))
    return tmp_path


def storable(run: Any, k: int = 4) -> Any:
    """Give a made run of the eval `starter` what the store needs."""
    found, path = spec.load("starter")
    part = EvalPlan(spec=found, path=str(path), samples=k, sampling=Sampling())
    plan = RunPlan(
        model="tiny",
        model_name="tiny",
        model_path="tiny.gguf",
        thinking=ThinkingTags(),
        engine=EngineSettings(),
        evals=[part],
        command=["localrl", "bench", "tiny"],
    )
    counters = {"wall_s": 60.0, "generated_tokens": 6000, "decode_s": 50.0, "peak_memory_bytes": 10**9}
    run.origin = {
        "manifest": {"plan": plan.model_dump(mode="json"), "hardware": {"device": "cpu"}},
        "sessions": [({"backend": "llama.cpp"}, counters)],
        "status": "complete",
    }
    run.made = [replace(s, shared_tokens=3, verifier="gym/1", ended=1.0) for s in run.made]
    return run


@pytest.fixture
def make_storable(make_run: Callable[..., Any]) -> Callable[..., Any]:
    return lambda run="r1", **more: storable(make_run(run, eval_name="starter", **more), more.get("k", 4))

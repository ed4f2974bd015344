"""Runs put straight into the store, of any size."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from localrl.catalog.locate import locate
from localrl.chat import Message
from localrl.engine.protocol import EngineSettings
from localrl.runs import plan, session
from localrl.sample import Problem, Sample
from localrl.store.runs import Store
from localrl.verdict import Outcome, Response

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.store.runs import Run

OUTCOMES = (Outcome.CORRECT, Outcome.WRONG, Outcome.CORRECT, Outcome.TRUNCATED, Outcome.LOOPED)


def stored_run(
    folder: Path,
    name: str = "made",
    problems: int = 12,
    k: int = 4,
    shift: int = 0,
    status: str = "complete",
    thinking: str = "",
) -> Run:
    """A run of the eval `sums` with outcomes that follow from problem and sample."""
    script = folder / "script.json"
    script.write_text(json.dumps({"texts": ["7"]}))
    with Store() as store:
        made = plan.make(locate(str(script)), ["sums"], EngineSettings(backend="scripted"), samples=k)
        run = session.create(store, made, name)
        opened = store.begin_session(run, {"backend": "scripted", "version": "1"})
        asked = [
            Problem(
                *(f"sum-{i:05}", "", str(i + 1)),
                eval="sums",
                messages=(Message(role="user", content=f"{i} + 1?"),),
            )
            for i in range(problems)
        ]
        stored = store.add_problems(run, asked)
        store.add_samples(
            run, (_sample(each, i, j, shift, thinking) for i, each in enumerate(stored) for j in range(k))
        )
        counters = {"wall_s": 60.0, "generated_tokens": 5000, "decode_s": 50.0 + 10 * shift}
        store.end_session(run, opened, counters, status)
        return store.find(run.id)


def _sample(asked: Problem, problem: int, index: int, shift: int, thinking: str) -> Sample:
    thinking = thinking or f"First {problem} and then one more."
    outcome = OUTCOMES[(problem * 3 + index + shift) % len(OUTCOMES)]
    answer = f"The answer is {problem + 1}."
    return Sample(
        problem=asked,
        index=index,
        seed=problem * 100 + index,
        response=Response(answer, thinking, f"<think>{thinking}</think>{answer}"),
        finish="length" if outcome is Outcome.TRUNCATED else "stop",
        prompt_tokens=20,
        thinking_tokens=100 + problem % 50,
        answer_tokens=12,
        ttft_s=0.1,
        tokens_per_s=30.0,
        outcome=outcome,
        score=float(outcome is Outcome.CORRECT),
        verifier="exact/1",
        extracted=str(problem + 1),
        detail={"compared": "as text"},
    )

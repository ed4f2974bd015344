"""Runs put straight into the store, of any size."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from localrl.catalog.resolve import resolve
from localrl.engine.protocol import EngineSettings
from localrl.runs import plan, session
from localrl.store.runs import Sample, Store
from localrl.verdict import Outcome

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
        made = plan.make(resolve(str(script)), ["sums"], EngineSettings(backend="scripted"), samples=k)
        run = session.create(store, made, name)
        opened = store.begin_session(run, {"backend": "scripted", "version": "1"})
        found: list[tuple[str, list[dict[str, str]], Any, dict[str, Any]]] = [
            (
                f"sum-{i:05}",
                [{"role": "user", "content": f"{i} + 1?"}],
                str(i + 1),
                {},
            )
            for i in range(problems)
        ]
        keys = store.add_problems(run, 0, found)
        store.add_samples(
            run, ((0, _sample(key, i, j, shift, thinking)) for i, key in enumerate(keys) for j in range(k))
        )
        counters = {"wall_s": 60.0, "generated_tokens": 5000, "decode_s": 50.0 + 10 * shift}
        store.end_session(run, opened, counters, status)
        return store.find(run.id)


def _sample(key: int, problem: int, index: int, shift: int, thinking: str) -> Sample:
    thinking = thinking or f"First {problem} and then one more."
    outcome = OUTCOMES[(problem * 3 + index + shift) % len(OUTCOMES)]
    return Sample(
        problem=key,
        index=index,
        seed=problem * 100 + index,
        finish="length" if outcome is Outcome.TRUNCATED else "stop",
        prompt_tokens=20,
        shared_tokens=0,
        thinking_tokens=100 + problem % 50,
        answer_tokens=12,
        ttft_s=0.1,
        tokens_per_s=30.0,
        text=f"<think>{thinking}</think>The answer is {problem + 1}.",
        starts_thinking=False,
        outcome=str(outcome),
        score=float(outcome is Outcome.CORRECT),
        verifier="exact/1",
        extracted=str(problem + 1),
        detail={"compared": "as text"},
    )

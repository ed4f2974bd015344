"""Add up the samples of a run, without reading their texts."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.store.runs import Run, Store


@dataclass(slots=True)
class Tally:
    """The sums of one eval of one run."""

    outcomes: dict[str, int] = field(default_factory=dict)
    """Samples by outcome; those not judged yet are under ''."""
    prompt_tokens: int = 0
    thinking_tokens: int = 0
    answer_tokens: int = 0
    groups: dict[tuple[int, int], int] = field(default_factory=dict)
    """(samples, correct ones) of a problem -> how many problems have these counts."""

    @property
    def samples(self) -> int:
        return sum(self.outcomes.values())


def tally(store: Store, run: Run, eval_index: int, k: int) -> Tally:
    """The sums of one eval of a run, whose problems have up to k samples."""
    sums = Tally()
    for outcome, count, prompt, thinking, answer in store.connection.execute(
        "SELECT outcome, COUNT(*), SUM(prompt_tokens), SUM(thinking_tokens), SUM(answer_tokens) "
        "FROM samples WHERE run = ? AND eval = ? GROUP BY outcome",
        (run.key, eval_index),
    ):
        sums.outcomes[outcome or ""] = count
        sums.prompt_tokens += prompt
        sums.thinking_tokens += thinking
        sums.answer_tokens += answer
    if k == 1:
        correct = sums.outcomes.get("correct", 0)
        judged = sums.samples - sums.outcomes.get("", 0)
        counts = {(1, 1): correct, (1, 0): judged - correct}
        sums.groups = {key: problems for key, problems in counts.items() if problems}
        return sums
    for samples, correct, problems in store.connection.execute(
        "SELECT n, c, COUNT(*) FROM (SELECT COUNT(*) n, SUM(outcome = 'correct') c FROM samples "
        "WHERE run = ? AND eval = ? AND outcome NOT NULL GROUP BY problem) GROUP BY n, c",
        (run.key, eval_index),
    ):
        sums.groups[samples, correct] = problems
    return sums


def finished_groups(store: Store, run: Run, eval_index: int, k: int) -> dict[tuple[int, int], int]:
    """(samples, correct ones) of the problems with at least k judged samples -> how many there are."""
    rows = store.connection.execute(
        "SELECT n, c, COUNT(*) FROM (SELECT COUNT(*) n, SUM(outcome = 'correct') c FROM samples "
        "WHERE run = ? AND eval = ? AND outcome NOT NULL AND outcome != 'engine_error' "
        "GROUP BY problem HAVING n >= ?) GROUP BY n, c",
        (run.key, eval_index, k),
    )
    return {(n, c): problems for n, c, problems in rows}


def rates(store: Store, run: Run, most: int = 100_000) -> tuple[list[float], list[float]]:
    """TTFT in seconds and stream rates in tokens/s, of at most about `most` samples, evenly spaced."""
    count = "SELECT COUNT(*) FROM samples WHERE run = ?"
    every = max(1, store.connection.execute(count, (run.key,)).fetchone()[0] // most)
    rows = store.connection.execute(
        "SELECT ttft_s, tokens_per_s FROM samples WHERE run = ? AND (problem + idx) % ? = 0", (run.key, every)
    ).fetchall()
    return [r[0] for r in rows if r[0] is not None], [r[1] for r in rows if r[1] is not None]


def errors(store: Store, run: Run, eval_index: int) -> list[tuple[str, int]]:
    """What most samples say that the engine failed on, and how many say so, the most frequent first."""
    return store.connection.execute(
        "SELECT t.error, COUNT(*) FROM samples s JOIN texts t ON t.problem = s.problem AND t.idx = s.idx "
        "WHERE s.run = ? AND s.eval = ? AND s.outcome = 'engine_error' "
        "GROUP BY t.error ORDER BY COUNT(*) DESC, t.error LIMIT 3",
        (run.key, eval_index),
    ).fetchall()


def answers(
    store: Store, run: Run, eval_index: int, share: float = 1.0
) -> Iterator[tuple[int, str, str | None]]:
    """(problem, outcome, extracted answer) of every judged sample, in order of problem and index.

    Args:
        share: of the problems, drawn by a hash of their key: always the same ones.
    """
    return store.connection.execute(
        "SELECT s.problem, s.outcome, t.extracted FROM samples s "
        "JOIN texts t ON t.problem = s.problem AND t.idx = s.idx "
        "WHERE s.run = ? AND s.eval = ? AND s.problem * 2654435761 % 4294967296 < ? AND s.outcome NOT NULL "
        "ORDER BY s.problem, s.idx",
        (run.key, eval_index, math.ceil(share * 4294967296)),
    )


def verifiers(store: Store, run: Run, eval_index: int) -> list[str]:
    """Who judged, as `name/version`: the first and last problem, and the samples that ended first and last.

    A run that went on with another version of a verifier, or was partly judged again by one, has two."""
    where = "FROM samples WHERE run = ? AND eval = ? AND outcome NOT NULL AND finish = 'stop'"
    ends = [
        f"SELECT * FROM (SELECT problem, idx {where} ORDER BY {column} {way} LIMIT 1)"
        for column in ("problem", "ended")
        for way in ("ASC", "DESC")
    ]
    rows = store.connection.execute(
        f"SELECT DISTINCT t.verifier FROM ({' UNION '.join(ends)}) e "
        "JOIN texts t ON t.problem = e.problem AND t.idx = e.idx WHERE t.verifier NOT NULL ORDER BY 1",
        (run.key, eval_index) * len(ends),
    )
    return [row[0] for row in rows]


def mean_reward(store: Store, run: Run, eval_index: int, name: str) -> float | None:
    """The mean of one reward over the samples that have it, which verifiers keep in `detail.rewards`."""
    path = "$.rewards." + json.dumps(name)
    row = store.connection.execute(
        "SELECT avg(json_extract(t.detail, ?)) FROM samples s "
        "JOIN texts t ON t.problem = s.problem AND t.idx = s.idx "
        "WHERE s.run = ? AND s.eval = ? AND s.outcome NOT NULL",
        (path, run.key, eval_index),
    ).fetchone()
    return None if row[0] is None else float(row[0])

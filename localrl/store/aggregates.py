"""Aggregates over the samples of a run: counts, sums and means, computed by SQLite without reading texts.

What needs no number of every sample is read of problems drawn by a hash of their keys: always the same ones.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from localrl.sample import Group
from localrl.verdict import INCOMPLETE, VERIFIER_FAILED, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.sample import Groups
    from localrl.store.runs import Run, Store

_FIELD = 1 << 20
"""More than a problem has samples: three counts add up in one integer, in a third of the time."""
_ALL = 1 << 32
HASHED = f"* 2654435761 % {_ALL}"
"""Multiplicative hashing (Knuth, TAOCP 3, 6.4): keys that follow one another are spread evenly."""
_SAMPLES = "FROM problems p CROSS JOIN samples s ON s.run = p.run AND s.eval = p.eval AND s.problem = p.key"
_TEXTS = "CROSS JOIN texts t ON t.problem = s.problem AND t.idx = s.idx"


class GroupCounts(NamedTuple):
    """The judged samples of one problem, counted."""

    samples: int
    correct: int
    incomplete: int
    """Those that did not end on their own."""
    failed: int
    """Those on which the verifier failed."""


@dataclass(slots=True)
class EvalTotals:
    """Samples by outcome and tokens of one eval of a run."""

    outcomes: dict[str, int] = field(default_factory=dict)
    """Samples by outcome; those not judged yet are under ''."""
    prompt_tokens: int = 0
    thinking_tokens: int = 0
    answer_tokens: int = 0

    @property
    def samples(self) -> int:
        return sum(self.outcomes.values())

    @property
    def groups_of_one(self) -> dict[GroupCounts, int]:
        """As `groups` has it, where no problem has two samples."""
        counts: Counter[GroupCounts] = Counter()
        for outcome in Outcome:
            key = GroupCounts(
                1, outcome is Outcome.CORRECT, outcome in INCOMPLETE, outcome in VERIFIER_FAILED
            )
            counts[key] += self.outcomes.get(outcome, 0)
        return dict(+counts)


def count(store: Store, run: Run, eval_index: int | None = None) -> int:
    """Samples of a run, or of one of its evals."""
    where, values = "run = ?", [run.key]
    if eval_index is not None:
        where, values = "run = ? AND eval = ?", [run.key, eval_index]
    return int(store.connection.execute(f"SELECT COUNT(*) FROM samples WHERE {where}", values).fetchone()[0])


def totals(store: Store, run: Run, eval_index: int) -> EvalTotals:
    """Samples by outcome and tokens of one eval of a run, in one pass over its rows."""
    judged = ", ".join(f"COUNT(*) FILTER (WHERE outcome = '{outcome}')" for outcome in Outcome)
    unjudged, prompt, thinking, answer, *counts = store.connection.execute(
        "SELECT COUNT(*) - COUNT(outcome), "
        f"TOTAL(prompt_tokens), TOTAL(thinking_tokens), TOTAL(answer_tokens), {judged} "
        "FROM samples WHERE run = ? AND eval = ?",
        (run.key, eval_index),
    ).fetchone()
    outcomes = {"": unjudged, **{str(outcome): count for outcome, count in zip(Outcome, counts, strict=True)}}
    return EvalTotals(
        {outcome: count for outcome, count in outcomes.items() if count},
        int(prompt),
        int(thinking),
        int(answer),
    )


def groups(store: Store, run: Run, eval_index: int) -> dict[GroupCounts, int]:
    """The counts of a problem -> how many problems have them."""
    weights = dict.fromkeys(INCOMPLETE, _FIELD) | dict.fromkeys(VERIFIER_FAILED, _FIELD**2)
    cases = " ".join(f"WHEN '{outcome}' THEN {w}" for outcome, w in {Outcome.CORRECT: 1, **weights}.items())
    rows = store.connection.execute(
        f"SELECT n, packed, COUNT(*) FROM (SELECT COUNT(*) n, SUM(CASE outcome {cases} ELSE 0 END) packed "
        "FROM samples WHERE run = ? AND eval = ? AND outcome NOT NULL GROUP BY problem) GROUP BY n, packed",
        (run.key, eval_index),
    )
    return {
        GroupCounts(n, packed % _FIELD, packed // _FIELD % _FIELD, packed // _FIELD**2): problems
        for n, packed, problems in rows
    }


def groups_by_problem(store: Store, run: Run) -> Groups:
    """The groups of a run that have a judged sample."""
    rows = store.connection.execute(
        "SELECT eval, problem, COUNT(*), SUM(outcome = 'correct'), SUM(thinking_tokens + answer_tokens) "
        "FROM samples WHERE run = ? AND outcome NOT NULL GROUP BY eval, problem",
        (run.key,),
    )
    evals, ids = run.evals, store.problem_ids(run)
    found: Groups = {}
    for position, problem, *counts in rows:
        found.setdefault(evals[position], {})[ids[problem]] = Group(*counts)
    return found


def counts_by_problem(store: Store, run: Run, eval_index: int) -> dict[int, tuple[int, int]]:
    """Judged samples and correct ones by problem (its key)."""
    rows = store.connection.execute(
        "SELECT problem, COUNT(*), SUM(outcome = 'correct') FROM samples "
        "WHERE run = ? AND eval = ? AND outcome NOT NULL GROUP BY problem",
        (run.key, eval_index),
    )
    return {problem: (samples, correct) for problem, samples, correct in rows}


def finished_groups(store: Store, run: Run, eval_index: int, k: int) -> dict[tuple[int, int], int]:
    """(samples, correct ones) of the problems with at least k judged samples -> how many there are."""
    rows = store.connection.execute(
        "SELECT n, c, COUNT(*) FROM (SELECT COUNT(*) n, SUM(outcome = 'correct') c FROM samples "
        "WHERE run = ? AND eval = ? AND outcome NOT NULL AND outcome != 'engine_error' "
        "GROUP BY problem HAVING n >= ?) GROUP BY n, c",
        (run.key, eval_index, k),
    )
    return {(n, c): problems for n, c, problems in rows}


def mean_tokens(
    store: Store, run: Run, eval_index: int, problem: str | None = None, most: int = 10_000
) -> float | None:
    """Generated tokens a sample, of one problem or of the first `most` samples; None where there are none."""
    one = "AND problem = (SELECT key FROM problems WHERE run = :run AND eval = :eval AND id = :problem)"
    row = store.connection.execute(
        "SELECT AVG(n) FROM (SELECT thinking_tokens + answer_tokens n FROM samples "
        f"WHERE run = :run AND eval = :eval AND outcome IS NOT 'engine_error' {one if problem else ''} "
        "LIMIT :most)",
        {"run": run.key, "eval": eval_index, "problem": problem, "most": most},
    ).fetchone()
    return None if row[0] is None else float(row[0])


def rates(store: Store, run: Run, most: int = 20_000) -> tuple[list[float], list[float]]:
    """TTFT in seconds and stream rates in tokens/s, of all samples or of drawn problems with about `most`."""
    rows = store.connection.execute(
        f"SELECT ttft_s, tokens_per_s FROM samples WHERE run = ? AND problem {HASHED} < ?",
        (run.key, drawn(most, count(store, run))),
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


class SampleAnswer(NamedTuple):
    """What one sample answered."""

    problem: int
    """Its key."""
    sample: int
    outcome: str
    extracted: str | None
    tokens: int
    """Generated, thinking included."""


def answers(store: Store, run: Run, eval_index: int, most: int) -> Iterator[SampleAnswer]:
    """The answers of judged samples, one problem after another.

    Args:
        most: all samples if there are no more of them; else those of drawn problems that have about so many.
    """
    rows = store.connection.execute(
        "SELECT s.problem, s.idx, s.outcome, t.extracted, s.thinking_tokens + s.answer_tokens "
        f"{_SAMPLES} {_TEXTS} "
        f"WHERE p.run = ? AND p.eval = ? AND s.outcome NOT NULL AND p.key {HASHED} < ?",
        (run.key, eval_index, drawn(most, count(store, run, eval_index))),
    )
    return (SampleAnswer(*row) for row in rows)


def verifiers(store: Store, run: Run, eval_index: int, most: int = 2_000) -> list[str]:
    """Who judged, as `name/version`; in a large run, the first and last problem and drawn ones.

    A run that went on with another version of a verifier, or was partly judged again by one, has two."""
    ours = "FROM samples WHERE run = ? AND eval = ?"
    rows = store.connection.execute(
        f"SELECT DISTINCT t.verifier {_SAMPLES} {_TEXTS} "
        "WHERE p.run = ? AND p.eval = ? AND s.finish = 'stop' AND t.verifier NOT NULL AND "
        f"(p.key {HASHED} < ? OR p.key IN ((SELECT MIN(problem) {ours}), (SELECT MAX(problem) {ours})))",
        (run.key, eval_index, drawn(most, count(store, run, eval_index)), *(run.key, eval_index) * 2),
    )
    return sorted(row[0] for row in rows)


def drawn(most: int, count: int) -> int:
    """What the hashes of problems are below that have about `most` of `count` samples."""
    return _ALL if count <= most else math.ceil(most / count * _ALL)


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

"""Forks on disk: what samples answered at thinking budgets, a row for each sample and budget.

Where a sample had ended before a budget, the row only says so (`forced` is 0): its own answer counts there,
with its own verdict, whichever a later rescore gives it.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from localrl.sample import Sample
from localrl.store import aggregates
from localrl.thinking import split
from localrl.verdict import Outcome

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from localrl.chat import ThinkingTags
    from localrl.sample import Problem
    from localrl.store.runs import Run, Store

_PLACE = "run = ? AND eval = ? AND problem = ? AND idx = ?"
_FORK = (
    "f.idx, f.budget, f.forced, f.replayed, f.reopened, f.seed, f.finish, f.outcome, f.score, "
    "f.at, f.thinking_tokens, f.answer_tokens, f.ended, t.text, t.error, t.verifier, t.extracted, t.detail "
    "FROM forks f LEFT JOIN fork_texts t ON t.problem = f.problem AND t.idx = f.idx AND t.budget = f.budget"
)
_ANSWERS = """(
    SELECT f.run, f.eval, f.problem, f.idx, f.budget, f.forced, f.replayed, f.reopened,
        CASE WHEN f.forced THEN f.outcome ELSE s.outcome END outcome,
        CASE WHEN f.forced THEN f.thinking_tokens ELSE s.thinking_tokens END thinking_tokens,
        CASE WHEN f.forced THEN f.answer_tokens ELSE s.answer_tokens END answer_tokens
    FROM forks f CROSS JOIN samples s
        ON s.run = f.run AND s.eval = f.eval AND s.problem = f.problem AND s.idx = f.idx)"""
"""What counts at each budget: the fork's answer, or the sample's own where it had ended before."""


@dataclass(slots=True)
class BudgetTotals:
    """The samples of one eval at one budget."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Those not judged yet are under ''."""
    forced: int = 0
    natural: int = 0
    """Samples that had ended before."""
    reopened: int = 0
    """Forks that began to think again."""
    replayed: int = 0
    """Answered from stored thinking, after the run."""
    thinking_tokens: int = 0
    answer_tokens: int = 0

    @property
    def tokens_per_sample(self) -> float:
        """Generated, thinking included."""
        return (self.thinking_tokens + self.answer_tokens) / (self.forced + self.natural)


class BudgetCounts(NamedTuple):
    """The judged samples of one problem at one budget."""

    samples: int
    correct: int
    natural_correct: int
    """Correct ones among those that had ended before."""


class BudgetAnswer(NamedTuple):
    """What one sample answered at one budget."""

    problem: int
    sample: int
    budget: int
    forced: bool
    correct: bool
    extracted: str | None
    thinking_tokens: int
    answer_tokens: int


def any_of(store: Store, run: Run) -> bool:
    row = store.connection.execute("SELECT EXISTS (SELECT 1 FROM forks WHERE run = ?)", (run.key,))
    return bool(row.fetchone()[0])


def places(store: Store, run: Run) -> list[tuple[int, int, int, int]]:
    """The eval's position, the problem's key, the sample's index and the budget of every row."""
    rows = store.connection.execute("SELECT eval, problem, idx, budget FROM forks WHERE run = ?", (run.key,))
    return rows.fetchall()


def add(connection: sqlite3.Connection, run: int, position: int, sample: Sample) -> None:
    """Write a sample's forks, and at which budgets it had ended; inside the caller's transaction."""
    if not (sample.forks or sample.natural):
        return
    place = (run, position, sample.problem.key, sample.index)
    forced = [_numbers(place, fork) for fork in sample.forks]
    natural = [
        (*place, budget, *(0, 0, 0, 0, "", None, None, 0, 0, 0), sample.ended) for budget in sample.natural
    ]
    connection.executemany(
        "INSERT INTO forks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [*forced, *natural]
    )
    connection.executemany(
        "INSERT INTO fork_texts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (*place[2:], f.budget, f.response.raw, f.error, f.verifier, f.extracted, _json(f.detail))
            for f in sample.forks
        ],
    )


def drop(connection: sqlite3.Connection, run: int, position: int, sample: Sample) -> None:
    """Remove the forks of a sample that is made again."""
    connection.execute(f"DELETE FROM forks WHERE {_PLACE}", (run, position, sample.problem.key, sample.index))
    connection.execute(
        "DELETE FROM fork_texts WHERE problem = ? AND idx = ?", (sample.problem.key, sample.index)
    )


def set_verdicts(connection: sqlite3.Connection, run: int, placed: Iterable[tuple[int, Sample]]) -> None:
    """Store the verdicts of forks, each with its eval's position; inside the caller's transaction."""
    found = list(placed)
    connection.executemany(
        f"UPDATE forks SET outcome = ?, score = ? WHERE {_PLACE} AND budget = ?",
        [(f.outcome, f.score, run, at, f.problem.key, f.index, f.budget) for at, f in found],
    )
    connection.executemany(
        "UPDATE fork_texts SET verifier = ?, extracted = ?, detail = ? "
        "WHERE problem = ? AND idx = ? AND budget = ?",
        [(f.verifier, f.extracted, json.dumps(f.detail), f.problem.key, f.index, f.budget) for _, f in found],
    )


def of_problem(
    store: Store, run: Run, problem: Problem
) -> dict[int, tuple[tuple[Sample, ...], tuple[int, ...]]]:
    """By a sample's index, its forks and the budgets that it did not reach."""
    rows = store.connection.execute(
        f"SELECT {_FORK} WHERE f.run = ? AND f.eval = ? AND f.problem = ? ORDER BY f.idx, f.budget",
        (run.key, run.position(problem.eval), problem.key),
    )
    tags = run.thinking
    found: dict[int, tuple[tuple[Sample, ...], tuple[int, ...]]] = {}
    for index, budget, forced, *values in rows:
        forks, natural = found.get(index, ((), ()))
        if forced:
            forks = (*forks, _to_fork(problem, index, budget, values, tags))
        else:
            natural = (*natural, budget)
        found[index] = forks, natural
    return found


def unjudged(store: Store, run: Run, problem: Problem) -> list[Sample]:
    """Forks of a problem that were stored and not judged."""
    rows = store.connection.execute(
        f"SELECT {_FORK} WHERE f.run = ? AND f.eval = ? AND f.problem = ? AND f.forced AND f.outcome IS NULL",
        (run.key, run.position(problem.eval), problem.key),
    )
    tags = run.thinking
    return [_to_fork(problem, index, budget, values, tags) for index, budget, _, *values in rows]


def judged(store: Store, run: Run, problem: Problem) -> dict[int, tuple[int, int]]:
    """By budget, how many samples of a problem were judged there, and how many of them are correct."""
    rows = store.connection.execute(
        f"SELECT budget, COUNT(*), SUM(outcome = 'correct') FROM {_ANSWERS} "
        "WHERE run = ? AND eval = ? AND problem = ? AND outcome NOT NULL AND outcome != 'engine_error' "
        "GROUP BY budget",
        (run.key, run.position(problem.eval), problem.key),
    )
    return {budget: (samples, correct) for budget, samples, correct in rows}


def totals(store: Store, run: Run, eval_index: int) -> dict[int, BudgetTotals]:
    """By budget, ascending."""
    rows = store.connection.execute(
        "SELECT budget, COALESCE(outcome, ''), COUNT(*), SUM(forced), SUM(reopened), SUM(replayed), "
        f"SUM(thinking_tokens), SUM(answer_tokens) FROM {_ANSWERS} WHERE run = ? AND eval = ? "
        "GROUP BY budget, outcome ORDER BY budget",
        (run.key, eval_index),
    )
    found: dict[int, BudgetTotals] = {}
    for budget, outcome, samples, forced, reopened, replayed, thinking, answer in rows:
        at = found.setdefault(budget, BudgetTotals())
        at.outcomes[outcome] += samples
        at.forced += forced
        at.natural += samples - forced
        at.reopened += reopened
        at.replayed += replayed
        at.thinking_tokens += thinking
        at.answer_tokens += answer
    return found


def counts(store: Store, run: Run, eval_index: int) -> dict[int, dict[int, BudgetCounts]]:
    """The judged samples by budget, ascending, and problem (its key)."""
    rows = store.connection.execute(
        "SELECT budget, problem, COUNT(*), SUM(outcome = 'correct'), SUM(outcome = 'correct' AND NOT forced) "
        f"FROM {_ANSWERS} WHERE run = ? AND eval = ? AND outcome NOT NULL "
        "GROUP BY budget, problem ORDER BY budget",
        (run.key, eval_index),
    )
    found: dict[int, dict[int, BudgetCounts]] = {}
    for budget, problem, *numbers in rows:
        found.setdefault(budget, {})[problem] = BudgetCounts(*numbers)
    return found


def finished_groups(store: Store, run: Run, eval_index: int, k: int) -> dict[int, dict[tuple[int, int], int]]:
    """By budget, as `aggregates.finished_groups` has it."""
    rows = store.connection.execute(
        "SELECT budget, n, c, COUNT(*) FROM (SELECT budget, COUNT(*) n, SUM(outcome = 'correct') c "
        f"FROM {_ANSWERS} WHERE run = ? AND eval = ? AND outcome NOT NULL AND outcome != 'engine_error' "
        "GROUP BY budget, problem HAVING n >= ?) GROUP BY budget, n, c",
        (run.key, eval_index, k),
    )
    found: dict[int, dict[tuple[int, int], int]] = {}
    for budget, n, c, problems in rows:
        found.setdefault(budget, {})[n, c] = problems
    return found


def answers(store: Store, run: Run, eval_index: int, most: int) -> Iterator[BudgetAnswer]:
    """Judged answers at budgets, in order of problem, sample and budget.

    Args:
        most: those of all samples if there are no more; else of drawn problems that have about so many.
    """
    rows = store.connection.execute(
        "SELECT a.problem, a.idx, a.budget, a.forced, a.outcome = 'correct', "
        "CASE WHEN a.forced THEN ft.extracted ELSE t.extracted END, a.thinking_tokens, a.answer_tokens "
        f"FROM {_ANSWERS} a JOIN texts t ON t.problem = a.problem AND t.idx = a.idx "
        "LEFT JOIN fork_texts ft ON ft.problem = a.problem AND ft.idx = a.idx AND ft.budget = a.budget "
        f"WHERE a.run = ? AND a.eval = ? AND a.outcome NOT NULL AND a.problem {aggregates.HASHED} < ? "
        "ORDER BY a.problem, a.idx, a.budget",
        (run.key, eval_index, aggregates.drawn(most, aggregates.count(store, run, eval_index))),
    )
    return (BudgetAnswer(*row) for row in rows)


def _numbers(place: tuple[int, int, int, int], f: Sample) -> tuple[Any, ...]:
    return (
        *(*place, f.budget, True, f.replayed, f.reopened, f.seed, f.finish),
        *(f.outcome, f.score if f.outcome else None, f.at, f.thinking_tokens, f.answer_tokens, f.ended),
    )


def _to_fork(
    problem: Problem, index: int, budget: int, values: list[Any], tags: ThinkingTags | None
) -> Sample:
    replayed, reopened, seed, finish, outcome, score, at, thinking_tokens, answer_tokens, ended = values[:10]
    text, error, verifier, extracted, detail = values[10:]
    return Sample(
        problem=problem,
        index=index,
        seed=seed,
        response=split(text, tags),
        finish=finish,
        thinking_tokens=thinking_tokens,
        answer_tokens=answer_tokens,
        error=error,
        outcome=Outcome(outcome) if outcome else None,
        score=score or 0.0,
        verifier=verifier,
        extracted=extracted,
        detail=json.loads(detail) if detail else {},
        ended=ended,
        budget=budget,
        at=at,
        reopened=bool(reopened),
        replayed=bool(replayed),
    )


def _json(detail: dict[str, Any]) -> str | None:
    return json.dumps(detail) if detail else None

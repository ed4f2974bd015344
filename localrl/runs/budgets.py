"""Thinking budgets of a run: as a person writes them, and as each eval takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from localrl.errors import UsageError
from localrl.runs.progress import EvalProgress
from localrl.store import forks
from localrl.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localrl.store.runs import Run, Store

Budgets = tuple[int, ...] | Literal["log2"]
ANSWER_TOKENS = 512
"""Tokens of a forced answer, where nobody says otherwise."""
SMALLEST, MOST = 64, 8
"""Of a log2 grid: its smallest budget, and so many of the largest below the token limit."""


def parsed(text: str) -> Budgets:
    """`512,1024,2048` or `log2`.

    Raises:
        UsageError: it is neither.
    """
    if text.strip().casefold() == "log2":
        return "log2"
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and 0 < len(word) < 10 and int(word) > 0 for word in words):
        raise UsageError(f"{text!r} are no thinking budgets", hint="write 512,1024,2048 or log2")
    return tuple(sorted({int(word) for word in words}))


def below(wanted: Budgets, max_tokens: int) -> tuple[int, ...]:
    """The budgets that a sample of at most `max_tokens` can reach, ascending.

    Raises:
        UsageError: there is none.
    """
    powers = tuple(2**i for i in range(SMALLEST.bit_length() - 1, max_tokens.bit_length()))
    found = tuple(budget for budget in (powers if wanted == "log2" else wanted) if budget < max_tokens)
    if not found:
        raise UsageError(
            f"no thinking budget is below the limit of {max_tokens} tokens", hint="raise --max-tokens"
        )
    return found[-MOST:] if wanted == "log2" else found


def counted(
    store: Store, run: Run, index: int, wanted: Iterable[int], total: int, k: int
) -> dict[int, EvalProgress]:
    """What is stored of one eval at each budget, ascending.

    Args:
        wanted: budgets that are there although nothing is stored yet.
        total: samples in all.
        k: problems with fewer judged samples are left out of the groups.
    """
    stored, groups = forks.totals(store, run, index), forks.finished_groups(store, run, index, k)
    found = {}
    for budget in sorted({*wanted, *stored}):
        at = found[budget] = EvalProgress(str(budget), total)
        if budget in stored:
            at.outcomes.update({name: n for name, n in stored[budget].outcomes.items() if name})
            at.outcomes.pop(Outcome.ENGINE_ERROR, None)
            at.groups.update(groups.get(budget, {}))
    return found

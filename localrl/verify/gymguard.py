"""What reasoning-gym's scorers let through: each guard names a scorer that gives 1.0 to wrong answers.

Found by scoring junk with every generator of reasoning-gym 0.1.25. A guard can only turn correct into wrong.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Entry = dict[str, Any]


def believable(generator: str, answer: str, entry: Entry) -> bool:
    """Whether a score of 1.0 for this answer can be believed."""
    if re.search(r"\bnan\b", answer, re.IGNORECASE) and "nan" not in str(entry.get("answer")).lower():
        return False  # NaN passes for `complex_arithmetic`, whose distance to it is no number
    guard = GUARDS.get(generator)
    return guard is None or guard(answer, entry)


def _same_word(answer: str, entry: Entry) -> bool:
    """`game_of_life_halting` compares bool(text), which is true for every text."""
    return answer.strip().strip(".").casefold() == str(entry["answer"]).casefold()


def _given_numbers(answer: str, entry: Entry) -> bool:
    """`puzzle24` does not ask whether the numbers are those of the puzzle."""
    used = [int(number) for number in re.findall(r"\d+", answer)]
    return sorted(used) == sorted(entry["metadata"]["numbers"])


def _near(answer: str, entry: Entry) -> bool:
    """`coin_flip` takes 0 for every small probability."""
    try:
        return math.isclose(float(answer), float(entry["answer"]), rel_tol=0.02)
    except ValueError:
        return True


GUARDS: dict[str, Callable[[str, Entry], bool]] = {
    "coin_flip": _near,
    "game_of_life_halting": _same_word,
    "puzzle24": _given_numbers,
}

"""Which problems a step draws: an endless order that depends on the seed alone, and how many groups."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.sample import Problem
    from localrl.train.recipe import Recipe


class ProblemOrder:
    """The problems of a training, shuffled anew for each pass over them."""

    def __init__(self, problems: Sequence[Problem], seed: int) -> None:
        self._problems, self._seed = problems, seed
        self._pass, self._shuffled = -1, list[int]()

    def __getitem__(self, number: int) -> Problem:
        """The problem of the group of this number, counted from 0 over all steps."""
        turn, place = divmod(number, len(self._problems))
        if turn != self._pass:
            self._pass, self._shuffled = turn, list(range(len(self._problems)))
            random.Random(f"{self._seed}/{turn}").shuffle(self._shuffled)
        return self._problems[self._shuffled[place]]


def groups_wanted(recipe: Recipe, spread: Sequence[bool]) -> int:
    """How many groups a step has to have drawn, now that the first of them are judged.

    With dynamic sampling (DAPO, arXiv 2503.14476, section 3.2) groups without spread are replaced, as many at
    once as should do at the rate seen so far, up to `most_drawn` times `prompts`.

    Args:
        spread: for each group that was drawn, whether its rewards differ.
    """
    drawn, mixed = len(spread), sum(spread)
    if drawn < recipe.prompts or not recipe.only_mixed:
        return recipe.prompts
    lacking = recipe.prompts - mixed
    more = math.ceil(lacking * drawn / mixed) if mixed else recipe.prompts
    return max(drawn, min(drawn + min(more, recipe.prompts), int(recipe.most_drawn * recipe.prompts)))

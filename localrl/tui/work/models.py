"""What the models screen shows: this machine, the catalogue on it, and what is on disk; for threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from localrl.catalog import card as cards
from localrl.catalog import inventory
from localrl.catalog.resolve import resolve
from localrl.engine import backends, ranking, selection
from localrl.errors import LocalrlError

if TYPE_CHECKING:
    from localrl.catalog.card import Card
    from localrl.engine.ranking import Line
    from localrl.machine.hardware import Machine
    from localrl.tui.app import ModelSelection

TOKENS_PER_STREAM = 32_768
"""As `localrl models fit` takes it by default."""


@dataclass(slots=True, eq=False)
class Row:
    """A card with its quantisations, or a file that somebody put on this machine."""

    title: str
    card: Card | None
    options: list[Line]
    """Of a card, one a quantisation; the first is the one to take."""
    here: set[str]
    """Names, of those in `options`, that are on this machine."""
    path: str = ""
    bytes: int = 0
    chosen: int = 0
    """The option that is shown."""
    error: str = ""
    """Why the card cannot be read."""

    @property
    def name(self) -> str:
        """As the command line takes it."""
        if self.path:
            return self.path
        if self.card and self.card.package:
            return self.card.name
        if self.options:
            return self.options[self.chosen].name
        return self.card.name if self.card else self.title

    @property
    def line(self) -> Line | None:
        return self.options[self.chosen] if self.options else None

    @property
    def is_here(self) -> bool:
        return bool(self.path) or self.name in self.here

    @property
    def weight_bytes(self) -> int:
        return self.bytes or (self.line.shape.weight_bytes if self.line else 0)


def machine() -> Machine:
    return ranking.here()


def rows(on: Machine) -> list[Row]:
    """Every card, the largest that fit first, then models on this machine that have no card."""
    work = ranking.Work(TOKENS_PER_STREAM)
    listed = []
    for name in cards.available():
        try:
            card = cards.load(name)
        except LocalrlError as error:
            listed.append(Row(name, None, [], set(), error=str(error)))
            continue
        options = ranking.options(card, on, work)
        names = [card.name] if card.package else [line.name for line in options]
        here = {name for name in names if _is_here(name)}
        chosen = next((i for i, line in enumerate(options) if line.name in here), 0)
        listed.append(Row(card.title, card, options, here, chosen=chosen))
    listed.sort(key=_order)
    return listed + [
        Row(model.name, None, [], set(), path=str(model.path), bytes=model.bytes)
        for model in inventory.everything()
    ]


def working_backends() -> dict[str, bool]:
    """Which backends can be used here."""
    return {name: backends.available(name) for name in backends.offered()}


def would_take(choice: ModelSelection) -> str:
    """What the chosen backend means for a model, or why it cannot run."""
    try:
        found_choice = selection.choose(choice.model, choice.backend, choice.endpoints)
    except LocalrlError as error:
        return str(error)
    return f"{found_choice.backend}: {found_choice.why}"


def _is_here(name: str) -> bool:
    try:
        resolve(name)
    except LocalrlError:
        return False
    return True


def _order(row: Row) -> tuple[int, int]:
    if row.line is None:  # no build is known that could be run here
        return len(ranking.RANK), 0
    return ranking.RANK[row.line.plan.verdict], -(row.card.parameters if row.card else 0)

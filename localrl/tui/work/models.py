"""What the models screen shows: this machine, the catalogue on it, and what is on disk; for threads."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localrl.catalog import assess, inventory
from localrl.catalog import card as cards
from localrl.catalog.locate import is_here
from localrl.engine import backends
from localrl.engine.resolve import resolve
from localrl.errors import LocalrlError
from localrl.machine import hardware
from localrl.report import experience
from localrl.store.runs import Store

if TYPE_CHECKING:
    from localrl.catalog.assess import Assessment
    from localrl.catalog.card import Card
    from localrl.catalog.yields import Experience
    from localrl.machine.hardware import Machine
    from localrl.tui.app import ModelSelection


@dataclass(slots=True, eq=False)
class ModelRow:
    """A card with its quantisations, or a file that somebody put on this machine."""

    title: str
    card: Card | None
    options: list[Assessment]
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
    def line(self) -> Assessment | None:
        return self.options[self.chosen] if self.options else None

    @property
    def is_here(self) -> bool:
        return bool(self.path) or self.name in self.here

    @property
    def weight_bytes(self) -> int:
        return self.bytes or (self.line.shape.weight_bytes if self.line else 0)


def machine() -> Machine:
    return hardware.here()


def rows(on: Machine) -> list[ModelRow]:
    """Every card in the order of `models fit`, then models on this machine that have no card."""
    work = assess.Workload(measured=_measured(on))
    listed = []
    for name in cards.available():
        try:
            card = cards.load(name)
        except LocalrlError as error:
            listed.append(ModelRow(name, None, [], set(), error=str(error)))
            continue
        options = assess.quantisations(card, on, work)
        names = [card.name] if card.package else [line.name for line in options]
        here = {name for name in names if is_here(name)}
        chosen = next((i for i, line in enumerate(options) if line.name in here), 0)
        listed.append(ModelRow(card.title, card, options, here, chosen=chosen))
    listed.sort(key=_order)
    return listed + [
        ModelRow(model.name, None, [], set(), path=str(model.path), bytes=model.bytes)
        for model in inventory.everything()
    ]


def advice(rows: list[ModelRow]) -> str:
    """What to take, in a line; empty where nothing can be advised."""
    found = assess.advise([row.options[0] for row in rows if row.options])
    return str(found) if found.best else ""


def working_backends() -> dict[str, bool]:
    """Which backends can be used here."""
    return {name: backends.available(name) for name in backends.offered()}


def would_take(choice: ModelSelection) -> str:
    """What the chosen backend means for a model, or why it cannot run."""
    try:
        found = resolve(choice.model, choice.backend, choice.endpoints)
    except LocalrlError as error:
        return str(error)
    return f"{found.backend}: {found.why}"


def _measured(on: Machine) -> dict[str, Experience]:
    with contextlib.suppress(LocalrlError), Store() as store:
        return experience.of(store, on)
    return {}


def _order(row: ModelRow) -> tuple[int, bool, float, int]:
    if row.line is None:  # no build is known that could be run here
        return len(assess.RANK), True, 0.0, 0
    return assess.rank(row.options[0])

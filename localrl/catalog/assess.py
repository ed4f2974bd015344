"""How a model would do on a machine, for every screen: memory, throughput, right answers, hours of work."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from localrl.catalog import card as cards
from localrl.catalog import fit, throughput, yields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localrl.catalog.fit import Measure, Plan
    from localrl.catalog.shape import Shape
    from localrl.catalog.throughput import Throughput
    from localrl.catalog.yields import Experience, Yield
    from localrl.machine.hardware import Machine

SHARE_USED = 0.4
"""Part of the token limit that a reasoning model uses on average: a guess, and called one."""
USABLE = 3.0
"""Tokens a second of one stream below which nobody waits for a model that reasons."""
RANK = {"fits": 0, "tight": 1, "no": 2}


@dataclass(frozen=True, slots=True)
class Workload:
    """What the machine is asked to do."""

    tokens_per_stream: int = 32_768
    """The length that a stream must be able to reach, its prompt included."""
    samples: int = 0
    """Over all problems of an eval; 0 asks for no hours."""
    evals: tuple[str, ...] = yields.REFERENCE
    """Whose accuracy models are compared by, the first that is known."""
    measured: Mapping[str, Experience] = field(default_factory=dict)
    """What runs on this machine know, by model and quantisation as in `Assessment.name`."""

    @property
    def tokens_used(self) -> int:
        """Tokens of a stream when it ends, on average."""
        return int(self.tokens_per_stream * SHARE_USED)


@dataclass(frozen=True, slots=True)
class Assessment:
    """One model at one quantisation on one machine."""

    name: str
    """As the command line takes it."""
    shape: Shape
    plan: Plan
    throughput: Throughput | None
    """None where it does not fit, or the bandwidth is unknown; `together` is what a run measured, if any."""
    hours: float | None
    kwh: float | None
    """At the device's full power: an upper bound."""
    expected: Yield | None
    """None where it does not fit."""

    @property
    def usable(self) -> bool:
        """Whether one stream is fast enough to wait for, as far as is known."""
        return self.throughput is None or self.throughput.single >= USABLE

    @property
    def right_per_hour(self) -> float | None:
        return self.expected.right_per_hour if self.expected else None


def assess(
    name: str,
    shape: Shape,
    machine: Machine,
    workload: Workload,
    measure: Measure | None = None,
    card: cards.Card | None = None,
) -> Assessment:
    """One model on a machine.

    Args:
        measure: lets llama.cpp itself say how large its compute buffers are.
        card: knows the published scores.
    """
    plan = fit.plan(shape, machine, tokens_per_stream=workload.tokens_per_stream, measure=measure)
    if plan.verdict == "no":
        return Assessment(name, shape, plan, None, None, None, None)
    used = workload.tokens_used
    streams = max(plan.streams, min(fit.STREAMS, plan.context // used))
    found = throughput.expect(shape, machine, streams, used, plan.cache_type)
    known = workload.measured.get(name, yields.NOTHING)
    if found and known.tokens_per_s:
        found = replace(found, together=known.tokens_per_s)
    rate = found.together if found else None
    expected = yields.expect(card, known, workload.evals, used, rate)
    tokens = workload.samples * expected.tokens_per_answer
    hours = tokens / found.together / 3600 if found and tokens else None
    kwh = machine.power_w * hours / 1000 if machine.power_w and hours is not None else None
    return Assessment(name, shape, plan, found, hours, kwh, expected)


def quantisations(card: cards.Card, machine: Machine, workload: Workload) -> list[Assessment]:
    """Every quantisation of a card on a machine, the one to take first.

    That is the largest that fits, a whole stream before a part of one, or the smallest where none does.
    """
    form: cards.WeightFormat = "mlx" if machine.kind == "metal" and not card.gguf else "gguf"
    names = card.quantisations(form) or (["Q4_1"] if card.package else [])
    found = [
        assess(f"{card.name}:{q}", shape, machine, workload, card=card)
        for q in names
        if (shape := card.at(q))
    ]
    whole = workload.tokens_per_stream
    found.sort(key=lambda one: (RANK[one.plan.verdict], one.plan.context < whole, -one.shape.weight_bytes))
    if found and found[0].plan.verdict == "no":
        found.sort(key=lambda one: one.shape.weight_bytes)
    return found


def catalogue(machine: Machine, workload: Workload) -> list[Assessment]:
    """Each card that can be read, at the quantisation to take, in the order of `rank`."""
    best = [
        found[0] for card in cards.every()[0].values() if (found := quantisations(card, machine, workload))
    ]
    return sorted(best, key=rank)


def rank(one: Assessment) -> tuple[int, bool, float, int]:
    """What to take first: what fits at a usable speed, by right answers an hour; the unknown by size."""
    right = one.right_per_hour
    return (
        RANK[one.plan.verdict],
        not one.usable,
        -right if right is not None else 1.0,
        -one.shape.weight_bytes,
    )


@dataclass(frozen=True, slots=True)
class Advice:
    """Names of models to take; None where nothing that is known serves."""

    best: str | None
    """Most right answers an hour."""
    faster: str | None
    """More tokens a second than the best."""
    most_accurate: str | None
    """More accurate than the best."""

    def __str__(self) -> str:
        if self.best is None:
            return f"nothing fits, makes {USABLE:g} tokens/s and is of known accuracy: see what comes nearest"
        others = [("faster", self.faster), ("most accurate", self.most_accurate)]
        words = "".join(f"; {what}: {name}" for what, name in others if name)
        return f"for this machine: {self.best}{words}"


def advise(lines: list[Assessment]) -> Advice:
    """From a catalogue in the order of `rank`: of what fits at a usable speed and whose accuracy is known."""
    known = [
        (line, line.throughput.together, line.expected.accuracy.value)
        for line in lines
        if line.plan.verdict == "fits" and line.usable and line.right_per_hour is not None
        if line.throughput and line.expected and line.expected.accuracy
    ]
    if not known:
        return Advice(None, None, None)
    best, speed, accuracy = known[0]
    faster = max((one for one in known if one[1] > speed), key=lambda one: one[1], default=None)
    better = max((one for one in known if one[2] > accuracy), key=lambda one: one[2], default=None)
    return Advice(best.name, faster and faster[0].name, better and better[0].name)

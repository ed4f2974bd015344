"""Numbers that a person writes into a field, and what to say of those that cannot be."""

from __future__ import annotations

from typing import NamedTuple

from localrl.errors import UsageError


class NumberField(NamedTuple):
    kind: type[int] | type[float]
    least: float
    most: float

    def read(self, name: str, text: str) -> int | float:
        """
        Raises:
            UsageError: it is no number, or out of its range.
        """
        try:
            value = self.kind(text)
        except ValueError:
            raise UsageError(f"{name}: {text!r} is not a number") from None
        if not self.least <= value <= self.most:
            raise UsageError(f"{name}: {text} is not from {self.least:,g} to {self.most:,.0f}")
        return value


SAMPLER = {
    "temperature": NumberField(float, 0, 10),
    "top_p": NumberField(float, 0.001, 1),
    "top_k": NumberField(int, 0, 1_000_000),
    "min_p": NumberField(float, 0, 1),
    "max_tokens": NumberField(int, 1, 10_000_000),
}

"""Numbers as flags take them: every value that is refused here is refused in words, not deep inside."""

from __future__ import annotations

import math
from typing import Any

import click

LARGEST = 2**31 - 1
"""What the libraries below take as a number of tokens, problems or candidates."""


class Real(click.FloatRange):
    """A number between two others; `nan`, which no comparison refuses, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


def count(least: int = 1, most: int = LARGEST) -> click.IntRange:
    """A number of things."""
    return click.IntRange(least, most)

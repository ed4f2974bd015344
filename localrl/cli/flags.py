"""Flags that several commands share; numbers that make no sense are refused here, not deep inside."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from localrl.engine.backends import BACKENDS

if TYPE_CHECKING:
    from collections.abc import Callable

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


SAMPLING = {
    "temperature": Real(0, 10),
    "top_p": Real(0, 1, min_open=True),
    "top_k": count(0),
    "min_p": Real(0, 1),
    "max_tokens": count(),
}


def sampling_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, kind in reversed(SAMPLING.items()):
        words = "Limit of one sample or reply, thinking included." if name == "max_tokens" else None
        command = click.option(f"--{name.replace('_', '-')}", type=kind, help=words)(command)
    return command


def sampling_of(options: dict[str, Any]) -> dict[str, Any]:
    """The sampler's settings that the person gave."""
    return {name: options[name] for name in SAMPLING if options[name] is not None}


def backend_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    endpoints = click.option(
        "--endpoint", multiple=True, help="URL of an OpenAI-compatible server; may be repeated."
    )
    return click.option("--backend", type=click.Choice(["auto", *BACKENDS.names()]), default="auto")(
        endpoints(command)
    )

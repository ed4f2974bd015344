"""Arguments that Tab completes: models, evals, runs.

What they complete from is read only while the shell asks; an error then completes nothing.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from localrl.errors import LocalrlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def _completing(names: Callable[[], Iterable[str]]) -> Callable[..., list[CompletionItem]]:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        with contextlib.suppress(LocalrlError, OSError):
            return [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return []

    return complete


def _models() -> Iterable[str]:
    from localrl.catalog import card

    for name, found in card.every()[0].items():
        yield name
        for quantisation in found.quantisations():
            yield f"{name}:{quantisation}"


def _evals() -> Iterable[str]:
    from localrl.evals import spec

    return spec.available()


def _runs() -> Iterable[str]:
    from localrl.store.runs import Store

    with Store() as store:
        return ["last", *(name for run in store.runs() for name in (run.id, run.name) if name)]


def model(name: str = "model", **attributes: Any) -> Callable[..., Any]:
    return click.argument(name, shell_complete=_completing(_models), **attributes)


def evals(name: str = "evals", **attributes: Any) -> Callable[..., Any]:
    return click.argument(name, shell_complete=_completing(_evals), **attributes)


def run(name: str = "run", **attributes: Any) -> Callable[..., Any]:
    return click.argument(name, shell_complete=_completing(_runs), **attributes)

"""From an eval's definition to its problems, one at a time, in a fixed order and with stable ids."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from localrl.errors import LocalrlError, UsageError
from localrl.evals import rows
from localrl.evals.layouts import LAYOUTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from localrl.evals.spec import EvalSpec
    from localrl.sample import Problem

LARGEST_COUNTED_BYTES = 64 << 20


def problems(spec: EvalSpec, path: Path, limit: int | None = None) -> Iterator[Problem]:
    """The problems of an eval, the first `limit` of them, each made when it is asked for.

    Args:
        path: the eval's TOML file; data files lie relative to it.

    Raises:
        UsageError: a file, a column or a generator is not there, or an id comes twice.
        Unavailable: a package that the data needs is not installed.
        NetworkError: data is not in the cache and the hub does not give it.
    """
    environment, params = spec.data.environment
    found = (
        _from_rows(spec, path)
        if hasattr(environment, "files")
        else environment.problems(spec, params, path.parent)
    )
    split = spec.data.split
    whole = _once_each(found, spec)
    return itertools.islice(filter(split.holds, whole) if split else whole, limit)


def fetch(spec: EvalSpec, path: Path) -> None:
    """Have an eval's tables on this machine, readable, and with a problem in them; may download gigabytes.

    Raises:
        UsageError, Unavailable, NetworkError: as `problems`.
    """
    environment, params = spec.data.environment
    if hasattr(environment, "files"):
        for file in environment.files(spec, params, path.parent):
            next(rows.read(file), None)
        next(problems(spec, path), None)


def count(spec: EvalSpec, path: Path, limit: int | None = None) -> int | None:
    """How many problems there are; None where finding out means reading very large files."""
    environment, params = spec.data.environment
    tables = hasattr(environment, "files")
    if tables and _bytes(spec, path) > LARGEST_COUNTED_BYTES:
        found = None
    elif spec.data.split:
        found = sum(1 for _ in problems(spec, path))
    elif not tables:
        found = environment.count(params)
    else:
        found = sum(1 for _ in _rows(spec, path))
    return min((each for each in (found, limit) if each is not None), default=None)


def size(spec: EvalSpec, path: Path, limit: int | None = None) -> int | None:
    """How many problems there are, without a download: as the definition says, else counted on this machine.

    None where neither tells.
    """
    if found := spec.data.size:
        return min(found, limit or found)
    try:
        return count(spec, path, limit) if spec.data.environment[0].LOCAL else None
    except LocalrlError:
        return None


def _bytes(spec: EvalSpec, path: Path) -> int:
    environment, params = spec.data.environment
    files = environment.files(spec, params, path.parent)
    return sum(file.stat().st_size for file in files if file.is_file())


def _from_rows(spec: EvalSpec, path: Path) -> Iterator[Problem]:
    layout = LAYOUTS.get(spec.data.layout)
    has_gold = hasattr(layout, "gold")
    for file, number, row in _rows(spec, path):
        try:
            problem = layout.problem(row, number, spec.data)
            yield replace(problem, gold=layout.gold(row, problem)) if has_gold else problem
        except UsageError as error:
            raise UsageError(f"{file}, row {number}: {error.args[0]}", hint=error.hint) from error
        except (ValueError, TypeError, AttributeError) as error:
            raise UsageError(f"{file}, row {number}: {error}") from error


def _rows(spec: EvalSpec, path: Path) -> Iterator[tuple[str, int, rows.Row]]:
    """Each row with its file's name and its number from 0, over all files."""
    environment, params = spec.data.environment
    window = spec.data.window
    files = environment.files(spec, params, path.parent)
    found = ((file, row) for file in files for row in rows.read(file))
    for number, (file, row) in enumerate(found):
        if not window or window.holds(str(rows.cell(row, window.column))):
            yield file.name, number, row


def _once_each(found: Iterator[Problem], spec: EvalSpec) -> Iterator[Problem]:
    seen: set[str] = set()
    for problem in found:
        if problem.id in seen:
            raise UsageError(f"eval {spec.name!r}: two problems have the id {problem.id!r}")
        seen.add(problem.id)
        yield replace(problem, eval=spec.name, messages=spec.prompt.messages(problem.question))
    if not seen:
        raise UsageError(
            f"eval {spec.name!r} has no problems",
            hint="its window of days holds none" if spec.data.window else "its data has no rows",
        )

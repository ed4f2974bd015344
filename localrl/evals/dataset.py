"""From an eval's definition to its problems, one at a time, in a fixed order and with stable ids."""

from __future__ import annotations

import importlib.util
import itertools
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from localrl.errors import LocalrlError, Unavailable, UsageError
from localrl.evals import hub, layouts, rows
from localrl.evals.spec import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.evals.sources import PackageData, Window
    from localrl.evals.spec import EvalSpec


def problems(spec: EvalSpec, path: Path, limit: int | None = None) -> Iterator[Problem]:
    """The problems of an eval, the first `limit` of them, each made when it is asked for.

    Args:
        path: the eval's TOML file; data files lie relative to it.

    Raises:
        UsageError: a file, a column or a generator is not there, or an id comes twice.
        Unavailable: a package that the data needs is not installed.
        NetworkError: data is not in the cache and the hub does not give it.
    """
    return (problem for problem, _ in with_golds(spec, path, limit))


def with_golds(spec: EvalSpec, path: Path, limit: int | None = None) -> Iterator[tuple[Problem, str | None]]:
    """The same, each with an answer that has to be judged correct, or None where none is published."""
    found = _from_gym(spec) if spec.data.gym else _from_rows(spec, path)
    return itertools.islice(_once_each(found, spec), limit)


def fetch(spec: EvalSpec, path: Path) -> None:
    """Have the data of an eval on this machine, readable, and with a problem in it; may download gigabytes.

    Raises:
        UsageError, Unavailable, NetworkError: as `problems`.
    """
    if not spec.data.gym:
        for source in _files(spec, path):
            next(rows.read(source), None)
        next(problems(spec, path), None)


LARGEST_COUNTED_BYTES = 64 << 20


def count(spec: EvalSpec, path: Path, limit: int | None = None) -> int | None:
    """How many problems there are; None where finding out means reading very large files."""
    if spec.data.gym:
        found = sum(part.size for part in spec.data.gym)
    elif sum(file.stat().st_size for file in _files(spec, path) if file.is_file()) > LARGEST_COUNTED_BYTES:
        return limit
    else:
        found = sum(1 for _ in _rows(spec, path))
    return found if limit is None else min(found, limit)


def size(spec: EvalSpec, path: Path, limit: int | None = None) -> int | None:
    """How many problems there are, without a download: as the definition says, else counted in a local file.

    None where neither tells.
    """
    found = spec.data.size or sum(part.size for part in spec.data.gym)
    if found:
        return min(found, limit or found)
    try:
        return count(spec, path, limit) if spec.data.file else None
    except LocalrlError:
        return None


def _from_gym(spec: EvalSpec) -> Iterator[tuple[Problem, str | None]]:
    from localrl.verify import gymload
    from localrl.verify.verifiers import gym

    times: Counter[str] = Counter()
    for part in spec.data.gym:
        times[part.generator] += 1
        again = times[part.generator]
        made = gymload.dataset(part.generator, part.params, seed=part.seed, size=part.size)
        for index in range(part.size):
            entry = made[index]
            problem = Problem(
                id=f"{part.generator}{f'.{again}' if again > 1 else ''}-{index}",
                messages=spec.prompt.messages(entry["question"]),
                target={"generator": part.generator, "params": part.params, "entry": gym.pack(entry)},
            )
            yield problem, entry.get("answer")


def _from_rows(spec: EvalSpec, path: Path) -> Iterator[tuple[Problem, str | None]]:
    ask = layouts.LAYOUTS[spec.data.layout]
    for source, number, row in _rows(spec, path):
        try:
            asked = ask(row, number, spec.data)
            gold = layouts.gold(spec.data, row, asked.target)
        except UsageError as error:
            raise UsageError(f"{source}, row {number}: {error.args[0]}", hint=error.hint) from error
        except (ValueError, TypeError, AttributeError) as error:
            raise UsageError(f"{source}, row {number}: {error}") from error
        problem = Problem(asked.id, spec.prompt.messages(asked.question), asked.target, asked.meta)
        yield problem, gold


def _rows(spec: EvalSpec, path: Path) -> Iterator[tuple[str, int, rows.Row]]:
    """Each row with its file's name and its number from 0, over all files."""
    window = spec.data.window
    found = ((source, row) for source in _files(spec, path) for row in rows.read(source))
    for number, (source, row) in enumerate(found):
        if window and not _within(str(layouts.cell(row, window.column)), window):
            continue
        yield source.name, number, row


def _within(date: str, window: Window) -> bool:
    day = date[:10]
    return window.since <= day and (not window.until or day <= window.until)


def _files(spec: EvalSpec, path: Path) -> Iterator[Path]:
    data = spec.data
    if data.file:
        yield path.parent / data.file.path
        return
    if data.package and (inside := _package_file(data.package)):
        yield inside
        return
    if data.hub is None:
        assert data.package
        raise Unavailable(f"package {data.package.module} is not installed")
    release = data.window.release if data.window else None
    if release and release > len(data.hub.files):
        raise UsageError(f"eval {spec.name!r} has releases 1 to {len(data.hub.files)}, not {release}")
    for file in data.hub.files[:release]:
        yield hub.fetch(data.hub, file)


def _package_file(data: PackageData) -> Path | None:
    found = importlib.util.find_spec(data.module)
    path = Path(found.origin).parent / data.file if found and found.origin else None
    return path if path and path.is_file() else None


def _once_each(
    found: Iterator[tuple[Problem, str | None]], spec: EvalSpec
) -> Iterator[tuple[Problem, str | None]]:
    seen: set[str] = set()
    for problem, gold in found:
        if problem.id in seen:
            raise UsageError(f"eval {spec.name!r}: two problems have the id {problem.id!r}")
        seen.add(problem.id)
        yield problem, gold
    if not seen:
        raise UsageError(
            f"eval {spec.name!r} has no problems",
            hint="its window of days holds none" if spec.data.window else "its data has no rows",
        )

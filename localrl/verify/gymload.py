"""reasoning-gym one generator at a time.

`import reasoning_gym` runs all of its 106 generators' imports, sympy and matplotlib among them: over two
seconds where one generator needs 20 ms. Here its packages are entered into `sys.modules` without running
their `__init__`, so that only the module of the generator asked for is imported.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
import sys
import types
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrl import installation
from localrl.errors import Unavailable, UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

_REGISTERED = re.compile(r"""register_dataset\(\s*(?:name\s*=\s*)?(?:["'](\w+)["']|(\w+))""")
_NOT_GENERATORS = {"factory.py", "version_manager.py", "composite.py"}


@functools.cache
def generators() -> dict[str, str]:
    """The module of every generator, by the name it registers.

    Raises:
        Unavailable: reasoning-gym is not installed.
    """
    folder = root()
    found: dict[str, str] = {}
    for path in folder.rglob("*.py"):
        source = path.read_text(encoding="utf-8", errors="replace")
        if path.name in _NOT_GENERATORS or "register_dataset(" not in source:
            continue
        module = ".".join(("reasoning_gym", *path.relative_to(folder).with_suffix("").parts))
        for literal, constant in _REGISTERED.findall(source):
            named = (
                re.search(rf"""^{constant}\s*=\s*["'](\w+)["']""", source, re.MULTILINE) if constant else None
            )
            if name := literal or (named[1] if named else ""):
                found[name] = module.removesuffix(".__init__")
    return found


def dataset(generator: str, params: dict[str, Any], *, seed: int = 0, size: int = 1) -> Any:
    """One `ProceduralDataset`: its items are entries, `score_answer(answer, entry)` scores one.

    Raises:
        UsageError: the generator or a parameter does not exist, or a parameter's value is refused.
        Unavailable: reasoning-gym is not installed.
    """
    made, config = _classes(generator)
    names = {field.name for field in fields(config)}
    for key in params:
        if key not in names or key in ("seed", "size"):
            raise UsageError(
                f"generator {generator!r} has no parameter {key!r}",
                hint=nearest(key, names - {"seed", "size"}),
            )
    try:
        return made(config(**params, seed=seed, size=size))
    except (AssertionError, ValueError, TypeError) as error:
        raise UsageError(f"generator {generator!r} refuses its parameters: {error}") from error


@functools.cache
def common_scorer(generator: str) -> Callable[[str, dict[str, Any]], float] | None:
    """The scorer that generators inherit, which only compares text; None for one with a scorer of its own.

    Raises:
        UsageError: there is no such generator.
    """
    made, _ = _classes(generator)
    common = importlib.import_module("reasoning_gym.dataset").ProceduralDataset.score_answer
    return functools.partial(common, None) if made.score_answer is common else None


@functools.cache
def _classes(generator: str) -> tuple[Any, Any]:
    """The classes of a generator's dataset and of its configuration."""
    known = generators()
    if generator not in known:
        raise UsageError(f"no reasoning-gym generator named {generator!r}", hint=nearest(generator, known))
    _without_package_code()
    importlib.import_module(known[generator])
    made, config = importlib.import_module("reasoning_gym.factory").DATASETS[generator]
    return made, config


@functools.cache
def _without_package_code() -> None:
    folder = root()
    for init in [folder / "__init__.py", *folder.glob("*/__init__.py")]:
        package = init.parent
        if package.name in ("coaching", "data"):  # theirs is real code, and light
            continue
        name = "reasoning_gym" if package == folder else f"reasoning_gym.{package.name}"
        module = types.ModuleType(name)
        module.__path__ = [str(package)]
        sys.modules.setdefault(name, module)
    importlib.import_module("reasoning_gym.coaching")  # it and `factory` import each other: this order works


def root() -> Path:
    """Where reasoning-gym is installed.

    Raises:
        Unavailable: it is not.
    """
    if loaded := sys.modules.get("reasoning_gym"):  # as an empty package: nothing finds it any more
        return Path(next(iter(loaded.__path__)))
    spec = importlib.util.find_spec("reasoning_gym")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable("reasoning-gym is not installed", hint=installation.extra("starter"))
    return Path(spec.submodule_search_locations[0])

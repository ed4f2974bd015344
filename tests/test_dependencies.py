"""Every package that localrl imports is one that it declares, pins and needs."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INSTALLED = importlib.metadata.packages_distributions()


def imported() -> dict[str, Path]:
    """Each top-level module from outside that a module of ours imports, and one that does."""
    inside = {path.stem for path in (ROOT / "localrl/sandbox/inside").glob("*.py")}  # imported bare there
    found: dict[str, Path] = {}
    for path in sorted((ROOT / "localrl").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
            found.update({name.partition(".")[0]: path for name in names})
    ours = {"localrl", *inside, *sys.stdlib_module_names}
    return {name: path for name, path in found.items() if name not in ours}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    return {normal(re.split(r"[^\w.-]", requirement, maxsplit=1)[0]) for requirement in requirements}


def distributions(module: str) -> set[str]:
    """Those that bring a module; its own name where it is not installed."""
    found = INSTALLED.get(module, [module])
    return {normal(name) for name in found}


def test_every_imported_package_is_declared() -> None:
    extras = PROJECT["optional-dependencies"]
    declared = names(PROJECT["dependencies"])
    declared |= {name for extra in extras if extra != "test" for name in names(extras[extra])}
    undeclared = {
        module: str(path.relative_to(ROOT))
        for module, path in imported().items()
        if not distributions(module) & declared
    }
    assert undeclared == {}


def test_every_declared_dependency_is_imported() -> None:
    used = {name for module in imported() for name in distributions(module)}
    assert names(PROJECT["dependencies"]) - used == set()


def test_every_dependency_is_pinned_where_it_was_tested() -> None:
    pinned = names((ROOT / "constraints.txt").read_text().split())
    missing = names(PROJECT["dependencies"]) - pinned
    assert missing == set()

"""SQL is written in localrl/store/ alone: no other module holds a statement or talks to a connection."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import localrl

HOME = Path(localrl.__file__).parent
STATEMENT = re.compile(r"\b(SELECT|INSERT INTO|DELETE FROM|CREATE TABLE|PRAGMA)\s|\bUPDATE\s+\w+\s+SET\b")
CALLS = {"execute", "executemany", "executescript"}


def sql_in(source: str) -> list[str]:
    """Where a module holds SQL or runs some, as `line: what`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and STATEMENT.search(node.value):
            found.append(f"{node.lineno}: {' '.join(node.value.split())[:60]}")
        elif isinstance(node, ast.Attribute) and node.attr in CALLS:
            found.append(f"{node.lineno}: .{node.attr}")
        elif isinstance(node, ast.Attribute) and node.attr.endswith("connection"):  # noqa: SIM102
            if "store" in (owner := ast.unparse(node.value)):
                found.append(f"{node.lineno}: {owner}.{node.attr}")
    return found


def test_no_module_outside_the_store_holds_sql() -> None:
    modules = [path for path in HOME.rglob("*.py") if "store" not in path.relative_to(HOME).parts]
    assert len(modules) > 100
    assert {
        str(path.relative_to(HOME)): found for path in modules if (found := sql_in(path.read_text()))
    } == {}


@pytest.mark.parametrize(
    "source",
    [
        'store.ask("SELECT id FROM runs")',
        'f"SELECT a, {columns} FROM samples"',
        '"UPDATE runs SET name = ?"',
        '"INSERT INTO samples VALUES (?)"',
        '"DELETE FROM runs"',
        "cursor.execute(text)",
        "store.connection",
    ],
)
def test_sql_would_be_found(source: str) -> None:
    assert sql_in(source)


def test_words_that_look_like_sql_are_none() -> None:
    assert sql_in('"select a run from the list"; "update the run"; run.delete("from here")') == []

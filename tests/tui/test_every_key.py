"""No key without a test: what the tests press, read from their source, against the table of keys."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.tui.pressing import TABLE


def pressed(source: str) -> set[tuple[str, str]]:
    """(action, key) of every `press(pilot, "action"[, "key"])`; names that are computed do not count."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "press":
            name, *key = [ast.unparse(argument).strip("'") for argument in node.args[1:]]
            if name in TABLE:
                found.add((name, key[0] if key else TABLE[name][0]))
    return found


def test_every_key_of_every_action_is_pressed_by_a_test() -> None:
    sources = Path(__file__).parent.glob("test_*.py")
    done = {pair for path in sources for pair in pressed(path.read_text(encoding="utf-8"))}
    every = {(name, key) for name, keys in TABLE.items() for key in keys}
    assert sorted(every - done) == []


def test_a_call_counts_for_the_key_that_it_names() -> None:
    first = TABLE["app.help"][0]
    assert pressed('await press(pilot, "app.help")') == {("app.help", first)}
    assert pressed('await press(pilot, "app.help", "question_mark")') == {("app.help", "question_mark")}
    assert pressed('await pilot.press("f1")') == set()
    assert pressed('await press(pilot, "app.help" if first else "app.stop")') == set()

"""`localrl verify code` from end to end: JSON lines in, verdicts out, whatever the programs do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.commands import localrl

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

STDIN = '{"kind": "stdin", "tests": [{"input": "20 22", "output": "42"}]}'
LONG = "9" * 20_000
CALL = f'{{"kind": "call", "function": "f", "tests": [{{"args": [{LONG}], "output": {LONG}}}]}}'
ROWS = {
    "honest": ("print(sum(map(int, input().split())))", STDIN),
    "wrong": ("print(43)", STDIN),
    "forged": (
        "import os\nfor fd in range(64):\n  try: os.write(fd, b'correct')\n  except OSError: pass",
        STDIN,
    ),
    "forking": ("import os\nwhile True: os.fork()", STDIN),
    "no_text": ("import os\nos.write(1, b'\\xff\\xfe')", STDIN),
    "dying": ("import os\nos.abort()", STDIN),
    "long_integers": ("def f(x):\n    return x", CALL),
}


def test_verdicts_come_in_order_one_json_line_each(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    with file.open("w", encoding="utf-8") as rows:
        for name, (program, target) in ROWS.items():
            response = json.dumps(f"```python\n{program}\n```")
            rows.write(f'{{"id": "{name}", "response": {response}, "target": {target}}}\n')
    found = localrl("verify", "code", "--jsonl", str(file), "--json")
    assert found.returncode == 0, found.stderr
    verdicts: dict[str, dict[str, Any]] = {
        row["id"]: row for row in map(json.loads, found.stdout.splitlines())
    }
    assert list(verdicts) == list(ROWS)
    assert {name for name, row in verdicts.items() if row["verdict"] == "correct"} == {
        "honest",
        "long_integers",
    }
    assert verdicts["forking"]["detail"]["tests"]["runtime_error"] == 1
    assert verdicts["wrong"]["detail"]["tests"]["first_failing"]["expected"] == "42"

"""What models write reaches the screen as it is, in tables and in JSON."""

from __future__ import annotations

import json

import pytest

from localrl.cli.output import as_json, table


@pytest.mark.parametrize("cell", ["List[float]", "[/INST]", ":smile: [bold]x"])
def test_a_tables_cell_is_shown_as_it_is(cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    table(["extracted"], [[cell]])
    assert cell in capsys.readouterr().out


def test_a_pipe_gets_a_row_on_one_line_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["owner/" + "long-name-" * 30 + str(i) for i in range(2)]
    table(["model", "file", "size"], [[name, name, 1] for name in names], right=(2,))
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[2:] == [[name, name, "1"] for name in names]


def test_json_keeps_characters_and_escapes_only_what_is_no_utf_8() -> None:
    assert as_json({"a": "é"}) == '{"a": "é"}'
    assert json.loads(as_json({"a": "é\ud800"}).encode()) == {"a": "é\ud800"}

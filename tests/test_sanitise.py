"""Nothing that a terminal would obey comes from a stranger's text, whichever command prints it."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from localrl import sanitise
from tests.scripted import write_eval, write_script

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

EVIL = "a\x1b]0;title\x07b\x1b[2Jc\x9b31md\u202ee\x08f\x7f"
OURS = re.compile(r"\x1b\[[0-9;]*[mKA]|\x1b\[\?25[lh]")
"""Colours, and what redraws a line."""


def on_a_terminal(*words: str) -> str:
    """What a command writes to a terminal, on both streams."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "localrl", *words], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                said += (part := os.read(ours, 1 << 16))
            except OSError:  # Linux says so when the last writer is gone
                break
            if not part:
                break
        os.close(ours)
        process.wait(timeout=60)
    return said.decode()


def unclean(said: str) -> list[str]:
    return sanitise.OBEYED.findall(OURS.sub("", said).replace("\r", ""))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_clean_text_and_a_file_the_text_as_it_is() -> None:
    screen, file = Terminal(), io.StringIO()
    for stream in (screen, file):
        sanitise.wrapped(stream).write(f"{EVIL}\n\tend")
    assert screen.getvalue() == "a]0;titleb[2Jc31mdef\n\tend"
    assert file.getvalue() == f"{EVIL}\n\tend"


def test_joiners_and_accents_stay() -> None:
    kept = "می‌خواهم 👩‍💻 é\u0301 שלום"
    assert sanitise.clean(kept) == kept


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["verify", "exact", "--response", EVIL, "--target", EVIL],
        ["verify", "exact", "--response", EVIL, "--target", "x", "--json"],
        ["bench", f"./{EVIL}.gguf"],
        ["chat", EVIL, "-p", "x"],
        ["models", "show", EVIL],
        ["evals", "show", EVIL],
        [EVIL],
    ],
    ids=lambda words: " ".join(words[:2]).replace(EVIL, "EVIL"),
)
def test_what_was_typed_is_repeated_clean(home: Path, words: list[str]) -> None:
    said = on_a_terminal(*words)
    assert said
    assert unclean(said) == []


def test_names_of_runs_evals_and_answers_are_shown_clean(home: Path) -> None:
    script = write_script(home)
    definition = write_eval(home)
    title = json.dumps(EVIL)
    text = re.sub(r"(?m)^title = .*$", lambda _: f"title = {title}", definition.read_text())
    definition.write_text(text if "title" in text else f"title = {title}\n{text}")
    run = ["bench", str(script), str(definition), "--backend", "scripted", "--name", EVIL]
    for words in (run, ["runs", "ls"], ["runs", "show", "last"], ["runs", "ls", "--json"]):
        assert unclean(on_a_terminal(*words)) == [], words
    assert "b[2Jc" in on_a_terminal("runs", "ls")

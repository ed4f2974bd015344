"""`localrl chat` as a script sees it: the answer on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.commands import Done, command, localrl

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path))
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"texts": ["<think>let me see</think>It is 7."]}))
    return path


def chat(script: Path, *arguments: str, **streams: str) -> Done:
    return localrl("chat", str(script), "--backend", "scripted", *arguments, **streams)


def test_the_answer_is_on_stdout_and_the_reasoning_on_stderr(script: Path) -> None:
    done = chat(script, "-p", "-", stdin="How much?")
    assert (done.returncode, done.stdout) == (0, "It is 7.\n")
    assert "let me see" in done.stderr
    assert "tokens/s" in done.stderr


def test_json_is_one_document_with_answer_thinking_and_figures(script: Path) -> None:
    made = json.loads(chat(script, "-p", "How much?", "--json").stdout)
    assert (made["answer"], made["thinking"], made["finish"]) == ("It is 7.", "let me see", "stop")
    assert made["tokens"]["thinking"] > 0
    assert made["ttft_s"] is not None


def test_lines_of_a_pipe_are_one_conversation(script: Path) -> None:
    done = chat(script, "--json", stdin="one\ntwo\n")
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(replies) == 2
    assert replies[0]["chat"] == replies[1]["chat"]


def test_each_reply_is_json_where_the_pipe_takes_ascii_only(script: Path) -> None:
    script.write_text(json.dumps({"texts": ["sept ≥ 7"]}))
    assert json.loads(chat(script, "--json", stdin="one\n", charset="ascii").stdout)["answer"] == "sept ≥ 7"


def test_an_empty_prompt_is_refused(script: Path) -> None:
    done = chat(script, "-p", "-", stdin="  \n")
    assert done.returncode == 2
    assert "empty" in done.stderr


def test_a_pipe_gets_an_answer_as_it_is_and_a_terminal_nothing_that_it_would_obey(script: Path) -> None:
    script.write_text(json.dumps({"texts": ["a\x1b[2J\u202eb\tc\nd"]}))
    assert chat(script, "-p", "Say it.").stdout == "a\x1b[2J\u202eb\tc\nd\n"
    master, slave = pty.openpty()
    done = subprocess.run(
        command("chat", str(script), "--backend", "scripted", "-p", "Say it."),
        stdin=slave,
        stdout=slave,
        stderr=subprocess.DEVNULL,
        timeout=120,
    )
    assert done.returncode == 0
    shown = os.read(master, 4096).decode()
    os.close(master)
    os.close(slave)
    assert shown.replace("\r", "") == "a[2Jb\tc\nd\n"

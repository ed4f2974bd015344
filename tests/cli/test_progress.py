"""The line of progress: one line in place on a terminal, lines in a pipe, nothing where it was not wanted."""

from __future__ import annotations

import os
import subprocess
import sys
from threading import Thread

import pytest

from localrl.cli.progress import StatusLine

SCRIPT = """
from localrl.cli.progress import StatusLine
import sys
with StatusLine() as line:
    line.show(lambda: "1/9 " + "x" * 500)
    line.note("a [bold]note[/] :smile:")
print("the answer")
"""


@pytest.mark.process
def test_on_a_terminal_the_line_fits_and_is_gone_at_the_end_and_notes_stay_as_they_are() -> None:
    reader, writer = os.openpty()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        stderr=writer,
        stdout=subprocess.PIPE,
        check=True,
        env=os.environ | {"COLUMNS": "40", "NO_COLOR": "1", "TERM": "xterm"},
    )
    os.close(writer)
    shown = os.read(reader, 1 << 16).decode()
    os.close(reader)
    assert done.stdout == b"the answer\n"
    assert "1/9 " + "x" * 35 + "…" in shown
    assert "x" * 36 not in shown
    assert "a [bold]note[/] :smile:\r\n" in shown
    assert shown.rstrip("\r\n").endswith("\x1b[2K")


def test_in_a_pipe_the_first_and_the_last_state_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with StatusLine("plain") as line:
        for done in range(1, 4):
            line.show(lambda done=done: f"{done}/3")  # type: ignore[misc]
        line.note("beside it")
    with StatusLine("none") as line:
        line.show(lambda: "1/3")
        line.note("not wanted")
    assert capsys.readouterr() == ("", "1/3\nbeside it\n1/3\n")


def test_in_a_pipe_a_line_comes_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("localrl.cli.progress.time.monotonic", lambda: now[0])
    with StatusLine("plain") as line:
        for second in range(12):
            now[0] = float(second)
            line.show(lambda: f"after {int(now[0])} s")
    assert capsys.readouterr().err.splitlines() == ["after 0 s", "after 5 s", "after 10 s", "after 11 s"]


@pytest.mark.process
def test_work_goes_on_when_nobody_reads_what_is_said() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    script = SCRIPT.replace("StatusLine()", "StatusLine('full')")
    done = subprocess.run([sys.executable, "-c", script], stderr=writer, stdout=subprocess.PIPE, check=True)
    os.close(writer)
    assert done.stdout == b"the answer\n"


def test_a_note_of_another_thread_is_said_before_there_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = StatusLine("plain")
    thread = Thread(target=line.note, args=("an estimate",))
    thread.start()
    thread.join()
    assert capsys.readouterr().err == "an estimate\n"

"""What becomes of a command whose streams are closed, full, or read by nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from localrl.store.runs import Store
from tests.scripted import write_eval, write_script

pytestmark = pytest.mark.process

FULL = Path("/dev/full")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "home"))
    script, sums = write_script(tmp_path), write_eval(tmp_path)
    arguments = ["bench", str(script), str(sums), "--backend", "scripted", "--display", "plain"]
    return [sys.executable, "-m", "localrl", *arguments]


def in_shell(arguments: list[str], streams: str) -> subprocess.CompletedProcess[str]:
    command = f'"$@" {streams}'
    return subprocess.run(
        ["bash", "-c", command, "bash", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def status() -> str:
    with Store() as store:
        return store.find("last").status


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_an_answer_that_cannot_be_written_is_one_line_and_exit_1(bench: list[str], more: list[str]) -> None:
    done = in_shell([*bench, "--display", "none", *more], f">{FULL}")
    assert done.returncode == 1
    assert done.stderr == "localrl: cannot read or write: No space left on device\n"
    assert status() == "complete"


@pytest.mark.parametrize("streams", ["<&- >&-", "2>&-", "<&- >&- 2>&-"])
def test_a_run_is_done_without_the_streams_that_are_closed(bench: list[str], streams: str) -> None:
    done = in_shell(bench, streams)
    assert done.returncode == 0
    assert status() == "complete"


def test_a_locale_without_our_signs_costs_signs_and_no_results(bench: list[str]) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}

    def stdout(command: list[str]) -> str:
        return subprocess.run(command, capture_output=True, env=environment, check=True).stdout.decode(
            "latin-1"
        )

    assert json.loads(stdout([*bench, "--name", "größer ≥ 3", "--json"]))["name"] == "größer ≥ 3"
    assert "größer ? 3" in stdout([*bench[:3], "runs", "ls"])


def test_a_run_goes_on_when_nobody_reads_its_progress(bench: list[str]) -> None:
    done = in_shell(bench, "2> >(exec true)")
    assert done.returncode == 0
    assert "10 correct" in done.stdout
    assert status() == "complete"

"""Tab completes what there is, and installing it twice writes it once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from localrl.cli import command, flags

if TYPE_CHECKING:
    from pathlib import Path


def completed(*words: str) -> set[str]:
    """What a shell is offered for the last of `words`."""
    asked = BashComplete(command, {}, "localrl", "_LOCALRL_COMPLETE")
    return {item.value for item in asked.get_completions(list(words[1:-1]), words[-1])}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("localrl", "ben"), {"bench"}),
        (("localrl", "models", "show", "qwq"), {"qwq-32b", "qwq-32b:Q4_K_M", "qwq-32b:Q8_0"}),
        (("localrl", "bench", "smollm2-135m", "aime"), {"aime24", "aime25"}),
        (("localrl", "runs", "show", "la"), {"last"}),
    ],
)
def test_commands_models_evals_and_runs_are_completed(words: tuple[str, ...], expected: set[str]) -> None:
    assert expected <= completed(*words)


@pytest.mark.process
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_installing_it_twice_writes_one_line(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    start = tmp_path / f".{shell}rc"
    start.write_text("alias l=ls")
    for _ in range(2):
        done = CliRunner().invoke(command, ["completion", "install", shell])
        assert done.exit_code == 0, done.output
    if shell == "fish":
        assert "_LOCALRL_COMPLETE" in (tmp_path / ".config/fish/completions/localrl.fish").read_text()
        assert start.read_text() == "alias l=ls"
    else:
        first, second = start.read_text().splitlines()
        assert first == "alias l=ls"
        assert f"completion.{shell}" in second


def test_shares_of_accelerators_are_numbers_and_exclude_a_single_one() -> None:
    shares = flags.Shares()
    assert shares.convert("3,1", None, None) == (3.0, 1.0)
    for wrong in ("3", "a,b", "-1,2", "0,0", "nan,1"):
        done = CliRunner().invoke(command, ["bench", "--tensor-split", wrong])
        assert done.exit_code == 2
    done = CliRunner().invoke(command, ["speed", "--main-gpu", "0", "--tensor-split", "1,1"])
    assert "one accelerator" in str(done.exception)

"""What `examples/` holds runs as it stands."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.outside import Outside

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parent.parent / "examples"
pytestmark = pytest.mark.slow


def run(*words: str | Path, code: int = 0) -> str:
    """What a command prints, with this environment's localrl on the PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(words, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


def test_an_own_eval_is_valid_and_runs() -> None:
    capitals = EXAMPLES / "capitals" / "capitals.toml"
    run("localrl", "evals", "check", capitals)
    run("localrl", "bench", "smollm2-135m", capitals, "--limit", "2", "--max-tokens", "16")


def test_an_own_verifier_is_installed_and_judges(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "even-verifier", tmp_path / "source")
    outside = Outside(tmp_path, tmp_path / "source")
    outside.run("evals", "check", "evens")
    for said, verdict in (("so 12", "correct"), ("7", "wrong"), ("2", "wrong"), ("none", "no_answer")):
        words = ("--extractor", "last_number")
        told = outside.run("verify", "even-at-least", *words, "--response", said, "--target", "4").stdout
        assert told.startswith(verdict)


def test_two_models_are_compared_and_read_with_pandas() -> None:
    words = ("smollm2-135m", "smollm2-135m", "starter", "--limit", "2", "--max-tokens", "8")
    assert "starter" in run(EXAMPLES / "compare.sh", *words)
    assert "never right" in run(sys.executable, EXAMPLES / "read_with_pandas.py", "last")


@contextlib.contextmanager
def served(model: str) -> Iterator[str]:
    """The URL of a server of `model` on this machine."""
    words = [sys.executable, "-m", "localrl", "serve", model, "--port", "0", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


def test_two_servers_share_a_run() -> None:
    with served("smollm2-135m") as one, served("smollm2-135m") as two:
        flags = ("--limit", "4", "--max-tokens", "8", "--json")
        told = run(EXAMPLES / "two_servers.sh", "smollm2-135m", "starter", one, two, *flags)
    report = json.loads(told)
    assert sum(report["evals"][0]["outcomes"].values()) == 4
    assert report["evals"][0]["outcomes"]["engine_error"] == 0

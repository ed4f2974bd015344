"""Interpreters of ours run nothing that lies in the current folder, and know no secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from localrl import isolated

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

MODULES = [
    "localrl.engine.worker",
    "localrl.engine.chat_template",
    "localrl.engine.backends.llama_cpp.allocation",
    "localrl.engine.backends.llama_cpp.accelerators",
    "localrl.verify.worker",
]
PLANTED = (
    *("queue", "json", "llama_cpp", "numpy", "localrl", "pydantic", "jinja2"),
    *("sitecustomize", "usercustomize"),
)


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder full of modules that leave a mark when they are run."""
    for name in PLANTED:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})")
    return tmp_path


@pytest.mark.parametrize("module", MODULES)
def test_nothing_of_the_current_folder_or_of_python_variables_is_run(trap: Path, module: str) -> None:
    injected = {"PYTHONPATH": str(trap), "PYTHONSTARTUP": str(trap / "queue.py"), "PYTHONUSERBASE": str(trap)}
    subprocess.run(
        isolated.command(module),
        cwd=trap,
        env={**os.environ, **injected, "PYTHONWARNINGS": "error::queue.X", "PYTHONBREAKPOINT": "queue.x"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert not (trap / "ran").exists(), (trap / "ran").read_text()


def test_the_trap_snaps_where_an_interpreter_is_not_isolated(trap: Path) -> None:
    subprocess.run([sys.executable, "-c", "import queue"], cwd=trap, timeout=60, check=True)
    assert (trap / "ran").exists()


def test_a_program_started_in_any_folder_finds_localrl(tmp_path: Path) -> None:
    program = [*isolated.command("localrl"), "--version"]
    said = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert "localrl" in said.stdout


def test_secrets_stay_here_and_what_libraries_need_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "LOCALRL_API_KEY", "PYTHONPATH"):
        monkeypatch.setenv(name, "secret")
    needed = {"CUDA_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES", "LC_ALL", "LOCALRL_HOME", "OMP_NUM_THREADS"}
    for name in needed:
        monkeypatch.setenv(name, "1")
    known = isolated.environment("OPENAI_API_KEY")
    assert [name for name, value in known.items() if value == "secret"] == ["OPENAI_API_KEY"]
    assert {"PATH", "HOME", *needed} <= known.keys()

"""What was said and done here is for its owner's eyes only, whatever the umask."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from localrl import paths
from tests.scripted import write_eval, write_script

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.process


def test_a_run_leaves_nothing_that_others_may_read(tmp_path: Path) -> None:
    home = tmp_path / "home"
    words = ["bench", str(write_script(tmp_path)), str(write_eval(tmp_path)), "--backend", "scripted"]
    subprocess.run(
        ["sh", "-c", 'umask 0; exec "$@"', "sh", sys.executable, "-m", "localrl", *words],
        env={**os.environ, "LOCALRL_HOME": str(home)},
        check=True,
        capture_output=True,
        timeout=120,
    )
    kinds = [home / kind for kind in ("data", "state")]
    assert all(kind.is_dir() for kind in kinds)
    assert [str(kind) for kind in kinds if stat.S_IMODE(kind.stat().st_mode) != 0o700] == []
    files = [path for path in home.rglob("*") if path.is_file()]
    assert len(files) >= 3
    assert [str(path) for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_a_folder_that_an_earlier_version_left_open_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path))
    (tmp_path / "data").mkdir(mode=0o755)
    paths.ensure(tmp_path / "data")
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_folder_of_somebody_elses_choice_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o755)
    paths.ensure(tmp_path / "shared")
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o755


def test_a_store_opened_twice_keeps_its_locks_from_other_processes(tmp_path: Path) -> None:
    """Closing any descriptor of a file drops the locks that the process holds on it."""
    path = tmp_path / "store.db"
    with paths.private(path).open("r+b") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        paths.private(path)
        program = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        other = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True)
        assert "BlockingIOError" in other.stderr

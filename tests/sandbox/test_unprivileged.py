"""What holds as root holds as an ordinary user: the same canaries, run by user 65534."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import localrl

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.process

NOBODY = 65534
SCRIPT = '''\
import os, sys
from localrl import sandbox
from localrl.sandbox import Blob, Limits

THREADS = b"""
import threading, time
for _ in range(20):
    threading.Thread(target=time.sleep, args=(0.1,)).start()
print(int(input()) ** 2)
"""
assert os.geteuid() != 0, "this is root"
for mechanism in sandbox.mechanisms()[:2] if sys.platform == "linux" else sandbox.mechanisms()[2:]:
    box = sandbox.checked(mechanism)
    with Blob(THREADS) as program, Blob(b"12") as given:
        finished = box.run(program, given, Limits())
    assert finished.stdout == b"144\\n", finished
    print(box.name)
'''


@pytest.fixture
def world() -> Iterator[Path]:
    """A folder that every user can read, with localrl and a Python in it."""
    with tempfile.TemporaryDirectory(prefix="localrl-unprivileged-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        package = Path(localrl.__file__).parent
        shutil.copytree(package, folder / "localrl", ignore=shutil.ignore_patterns("__pycache__"))
        base = Path(sys.base_prefix)
        standard = Path(sysconfig.get_path("stdlib"))
        skipped = shutil.ignore_patterns("site-packages", "dist-packages", "test", "idlelib", "config-*")
        python = folder / "python"
        shutil.copytree(standard, python / "lib" / standard.name, ignore=skipped)
        for library in (base / "lib").glob("libpython*.so*"):
            shutil.copy2(library, python / "lib")
        (python / "bin").mkdir()
        shutil.copy2(os.path.realpath(sys.executable), python / "bin" / f"python3.{sys.version_info.minor}")
        yield folder


def test_the_canaries_hold_for_an_ordinary_user(world: Path) -> None:
    root = os.geteuid() == 0
    python = next((world / "python" / "bin").iterdir())
    home = world / "home"
    home.mkdir()
    if root:
        os.chown(home, NOBODY, NOBODY)
    user: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if root else {}
    found = subprocess.run(
        [python, "-c", SCRIPT],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LD_LIBRARY_PATH": str(world / "python" / "lib"),
            "PYTHONPATH": str(world),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        cwd=world,
        capture_output=True,
        text=True,
        check=False,
        **user,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == (["seatbelt"] if sys.platform == "darwin" else ["bubblewrap", "landlock"])

"""A run that another process works on: `localrl bench` on the scripted backend."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from localrl.store.runs import Store
from tests.scripted import write_eval, write_script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_S = 60.0


@contextmanager
def at_work(
    folder: Path, *texts: str, problems: int, samples: int = 1, real_s: float = 0.02, **script: Any
) -> Iterator[subprocess.Popen[str]]:
    """The process, once it has stored a sample; killed in the end if it is still there."""
    path = write_script(folder, *texts, real_s=real_s, **script)
    arguments = ["bench", str(path), str(write_eval(folder, problems)), "--backend", "scripted"]
    command = [sys.executable, "-m", "localrl", *arguments, "-k", str(samples), "--display", "none"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=folder
    ) as app:
        try:
            _wait_for_a_sample(app)
            yield app
        finally:
            app.kill()


def _wait_for_a_sample(app: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with Store() as store:
            if store.connection.execute("SELECT COUNT(*) FROM samples").fetchone()[0]:
                return
        assert app.poll() in (None, 0), app.communicate()[1]
        time.sleep(0.02)
    raise AssertionError("no sample came")

"""What tests of several parts need, and the rule that keeps `make quick` quick."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from localrl.store.runs import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

settings.register_profile("localrl", deadline=None)  # a busy machine is no failure
settings.load_profile("localrl")

STARTS_A_PROCESS = {"subprocess.Popen", "os.fork", "os.posix_spawn"}
_may_start_processes = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Only tests marked `process` or `slow` start any, so that `make quick` knows which to leave out."""
    global _may_start_processes
    _may_start_processes = any(item.iter_markers("process")) or any(item.iter_markers("slow"))
    try:
        return (yield)
    finally:
        _may_start_processes = True


def _refuse_processes(event: str, arguments: tuple[Any, ...]) -> None:
    if event in STARTS_A_PROCESS and not _may_start_processes:
        pytest.fail(f"{event}{arguments[:1]}: a test that starts a process is marked pytest.mark.process")


sys.addaudithook(_refuse_processes)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store of the test's own, where localrl finds it."""
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "home"))
    with Store() as opened:
        yield opened

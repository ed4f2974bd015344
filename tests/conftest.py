"""What tests of several parts need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from localrl.store.runs import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store of the test's own, where localrl finds it."""
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "home"))
    with Store() as opened:
        yield opened

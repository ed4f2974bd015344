"""The interface on the scripted backend: quick, deterministic, and without a model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from localrl.tui.app import LocalrlApp, ModelSelection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


SUMS = """
name = "sums"
title = "Sums"
version = 1
data.file.path = "sums.jsonl"
data.target = "answer"
verifier = { name = "exact", extractor = "last_number" }
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    folder = tmp_path / "home" / "config" / "evals"
    folder.mkdir(parents=True)
    (folder / "sums.toml").write_text(SUMS)
    rows = [{"question": f"{i} + 1?", "answer": str(i % 5)} for i in range(300)]
    (folder / "sums.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (tmp_path / "home" / "config" / "config.toml").write_text('evals = ["sums"]\n')
    return tmp_path / "home"


@pytest.fixture
def scripted(tmp_path: Path) -> Callable[..., LocalrlApp]:
    """An app whose model says the given texts; `real_s` is what a step takes."""

    def make(*texts: str, real_s: float = 0.0, **script: Any) -> LocalrlApp:
        path = tmp_path / "script.json"
        path.write_text(json.dumps({"texts": texts or ["The answer is 7."], "real_s": real_s, **script}))
        return LocalrlApp(ModelSelection(str(path), backend="scripted"))

    return make

"""Runs on the scripted backend: an eval of sums in a file, and a script that answers them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from localrl.catalog.locate import LocalModel
from localrl.engine.protocol import EngineSettings
from localrl.runs import plan

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.chat import ThinkingControl
    from localrl.runs.plan import RunPlan

EVAL = """\
name = "sums"
title = "Sums"
version = 1
max_tokens = 50

[data]
id = "id"

[data.file]
path = "sums.jsonl"

[verifier]
name = "exact"
extractor = "last_number"
"""


def write_eval(folder: Path, problems: int = 10) -> Path:
    """An eval whose problems all have the answer 4; returns its definition."""
    rows = [{"id": f"p{i}", "question": f"2 + 2, number {i}?", "target": "4"} for i in range(problems)]
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "sums.toml").write_text(EVAL)
    return folder / "sums.toml"


def write_script(folder: Path, *texts: str, **more: Any) -> Path:
    """A script for the scripted backend; returns its path."""
    path = folder / "script.json"
    path.write_text(json.dumps({"texts": texts or ("it is 4",)} | more))
    return path


KNOWN_FROM = (3, 9, 14, 40)
"""For each text of a `thinker`, from how many thinking tokens on it knows the answer."""


def thinker() -> dict[str, Any]:
    """A script that thinks for 20 tokens and says 4 in the end; before it knows that, it is forced to say 5.

    The last text never knows, and says 6 in the end.
    """
    thinking = "<think>" + " hm" * 18 + " </think>"
    return {
        "texts": [f"{thinking} it is {6 if known > 20 else 4}" for known in KNOWN_FROM],
        "knows": [[[0, "it is 5"], [known, "it is 4"]] for known in KNOWN_FROM],
    }


def make_plan(
    folder: Path,
    *texts: str,
    problems: int = 10,
    samples: int = 1,
    parallel: int = 4,
    budgets: tuple[int, ...] = (),
    control: ThinkingControl | None = None,
    **script: Any,
) -> RunPlan:
    path = write_script(folder, *texts, **script)
    return plan.make(
        LocalModel("script", path),
        [str(write_eval(folder, problems))],
        EngineSettings(backend="scripted", parallel=parallel),
        samples=samples,
        control=control,
        wanted_budgets=budgets,
    )

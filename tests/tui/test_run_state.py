"""What is known of a run at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localrl.catalog.locate import locate
from localrl.engine.client import Restarted
from localrl.engine.protocol import EngineSettings
from localrl.runs import plan
from localrl.runs.progress import Progress
from localrl.runs.runner import Live
from localrl.sample import Problem
from localrl.tui.symbols import PENDING_CODE, RUNNING_CODE
from localrl.tui.work.run_state import RunState

if TYPE_CHECKING:
    from pathlib import Path


def test_a_sample_that_begins_anew_after_the_engine_died_waits_until_it_does(tmp_path: Path) -> None:
    (tmp_path / "script.json").write_text('{"texts": ["7"]}')
    model = locate(str(tmp_path / "script.json"))
    run_state = RunState(plan.make(model, ["sums"], EngineSettings(backend="scripted"), samples=2))
    progress = Progress([])
    problem = Problem("sum-1", "", "7", eval="sums")
    live = Live(problem, 0, thinking=False, text="It is", tokens=2)
    run_state.take(live, progress)
    cells = run_state.rows[0].cells
    assert list(cells) == [RUNNING_CODE, PENDING_CODE]
    run_state.take(Restarted(-9), progress)
    assert list(cells) == [PENDING_CODE, PENDING_CODE]
    assert run_state.notices
    run_state.take(live, progress)
    assert list(cells) == [RUNNING_CODE, PENDING_CODE]
    assert [stream.tokens for stream in run_state.running()] == [2]

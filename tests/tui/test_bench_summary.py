"""The figures of a run: everything essential stays in sight at 80 columns."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from localrl.engine.protocol import Metrics
from localrl.report.metrics import Accuracy
from localrl.runs.progress import EvalProgress, Progress
from localrl.tui.screens.bench import BenchScreen
from localrl.tui.symbols import SYMBOLS
from localrl.tui.widgets.bench.summary import Summary
from localrl.tui.work.bench import BenchWork
from localrl.tui.work.run_state import EvalSnapshot
from tests.scripted import make_plan
from tests.tui.pressing import press
from tests.tui.test_models_screen import CARD
from tests.tui.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from localrl.tui.app import LocalrlApp

INNER = {80: 76, 110: 51, 200: 196}
"""Columns inside the pane by the terminal's; from 110 on it has half of them."""


@pytest.mark.parametrize("width", INNER.values())
@pytest.mark.parametrize("papers", [(), (0.795,), (0.795, 0.812)])
def test_accuracy_interval_and_published_scores_fit(width: int, papers: tuple[float, ...]) -> None:
    part = EvalSnapshot("livecodebench-v6", 10_551, 10_560, {"correct": 10_551}, {})
    lines = Summary()._eval(part, Accuracy(1.0, 0.981, 1.0, 0.012), papers, width)
    assert all(line.cell_length <= width for line in lines)
    words = "\n".join(line.plain for line in lines)
    for score in papers:
        assert f"{100 * score:.1f}" in words
    for essential in ("liveco", "10551/10560", "100.0 %", "98.1–100.0", "±1.2"):
        assert essential in words
    assert len(lines) == 1 or width < 76


@pytest.mark.parametrize("width", INNER.values())
def test_every_outcome_is_shown_in_as_many_lines_as_it_takes(width: int) -> None:
    lines = Summary()._outcomes(dict.fromkeys(SYMBOLS, 123_456), width)
    assert all(len(line.plain.rstrip()) <= width for line in lines)
    assert "".join(line.plain for line in lines).count("123,456") == len(SYMBOLS)


@pytest.mark.parametrize("width", INNER.values())
def test_speed_first_token_and_time_left_fit(width: int, tmp_path: Path) -> None:
    clock = iter(range(100_000))
    progress = Progress([EvalProgress("sums", 10_000)], restarts=3, clock=lambda: float(next(clock)))
    progress.first_token.add(83.0)
    for i in range(100):
        progress.take(Metrics(generated_tokens=i * 12_345))
    progress.evals[0].outcomes["correct"] = 900
    work = BenchWork(make_plan(tmp_path))
    work.run_state.rates = [1.0, 2.0] * 200
    work.run_state.publish(progress)
    lines = Summary()._speed(work, work.run_state.snapshot, width)
    assert all(line.cell_length <= width for line in lines)
    words = "\n".join(line.plain for line in lines)
    for essential in ("tok/s", "TTFT 1 min 23 s", "right/h", "ETA", "restarted 3×"):
        assert essential in words


def _says(summary: Summary, words: str) -> bool:
    return words in str(summary.render())


@pytest.mark.slow
def test_a_run_at_work_shows_what_was_published_and_the_first_token(
    scripted: Callable[..., LocalrlApp], home: Path
) -> None:
    folder = home / "config" / "models"
    folder.mkdir()
    (folder / "script.toml").write_text(CARD.replace('name = "tiny"', 'name = "script"'))

    async def scenario() -> None:
        app = scripted("so " * 25 + "7", real_s=0.02)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press("f4")
            await wait_until(pilot, lambda: app.current_mode == "bench")
            app.screen.set_focus(None)
            await press(pilot, "bench.start")
            await wait_until(pilot, lambda: app.bench_work and app.bench_work.run_state.snapshot.done)
            summary = app.screen.query_one(Summary)
            for words in ("paper 50.0", "TTFT", "ETA"):
                await wait_until(pilot, partial(_says, summary, words), words)
            await pilot.press("s")
            await wait_until(pilot, lambda: app.bench_work and app.bench_work.ended)

    asyncio.run(scenario())


@pytest.mark.slow
def test_figures_are_laid_out_at_once_for_a_new_width(
    scripted: Callable[..., LocalrlApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        app = scripted("7")
        async with app.run_test(size=(60, 30)) as pilot:
            await press(pilot, "app.bench")
            await wait_until(pilot, lambda: app.screen.query("#setup"))
            app.screen.set_focus(None)
            await press(pilot, "bench.start")
            await wait_until(pilot, lambda: app.bench_work and app.bench_work.ended)
            summary = app.screen.query_one(Summary)

            def bar() -> int:
                return str(summary.render()).count("━")

            await wait_until(pilot, lambda: 0 < bar() < 16, "the narrow figures")
            monkeypatch.setattr(
                BenchScreen, "_show_metrics", lambda *_: None
            )  # which would draw them in its turn
            await pilot.resize_terminal(200, 60)
            await wait_until(pilot, lambda: bar() == 16, "the wide ones")

    asyncio.run(scenario())

"""Start runs and watch them: metrics, a cell a sample, and the live text of any stream."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from textual.containers import Vertical
from textual.widgets import ContentSwitcher, Input

from localrl.errors import UsageError
from localrl.tui import keys
from localrl.tui.screens.base import BaseScreen
from localrl.tui.widgets.bench.grid import SampleGrid
from localrl.tui.widgets.bench.setup import Setup
from localrl.tui.widgets.bench.stream import StreamView
from localrl.tui.widgets.bench.summary import Intervals, Summary
from localrl.tui.work import plans

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import ActiveBinding
    from textual.timer import Timer

    from localrl.tui.work.bench import BenchWork
    from localrl.tui.work.run_state import LiveSample, RunSnapshot

TICK_S = 0.1
METRICS_EVERY = 5
"""Text updates per update of the metrics."""
CALM = 3
"""Factor by which drawing slows down where the model runs on the same CPU: on 2 cores, ten draws a second
cost a tenth of the tokens."""
ESTIMATE_AFTER_S = 0.4
NO_TEXT = "No live text: another process works on this run."


class BenchScreen(BaseScreen):
    GROUP = "bench"
    BINDINGS = keys.bindings("bench")
    CSS = """
    BenchScreen ContentSwitcher { height: 1fr; }
    BenchScreen #metrics { height: auto; }
    BenchScreen #left { height: 3fr; }
    BenchScreen #cells { height: 1fr; }
    BenchScreen StreamView { height: 2fr; }
    BenchScreen.-wide #at-work { layout: horizontal; }
    BenchScreen.-wide #left, BenchScreen.-wide StreamView { width: 1fr; height: 100%; }
    BenchScreen.-stream-wide #cells { display: none; }
    BenchScreen.-stream-wide #left { height: auto; }
    BenchScreen.-wide.-stream-wide #left { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._work: BenchWork | None = None
        self._setting_up = True
        self._ticks = 0
        self._intervals: Intervals = {}
        self._computing = False
        self._drawn: RunSnapshot | None = None
        """What is drawn."""
        self._watched: LiveSample | None = None
        self._pinned = False
        self._told = 0
        self._state = ""
        self._estimating: Timer | None = None

    def body(self) -> ComposeResult:
        from localrl.catalog import card

        with ContentSwitcher(initial="setup"):
            yield Setup(
                self.program.selection.model, list(card.available()), _evals(), self.program.settings.evals
            )
            with Vertical(id="at-work"):
                with Vertical(id="left"):
                    with Vertical(id="metrics", classes="pane"):
                        yield Summary()
                    with Vertical(id="cells", classes="pane") as cells:
                        cells.border_title = "problems × samples"
                        yield SampleGrid()
                yield StreamView()

    @property
    def view(self) -> str:
        return "setup" if self._setting_up else "at-work"

    def on_mount(self) -> None:
        self.set_interval(TICK_S, self._tick)
        self._refresh_unfinished()

    def on_screen_resume(self) -> None:
        if self._setting_up:
            self._refresh_unfinished()
            self.query_one("#model", Input).value = self.program.selection.model

    # -- what goes on

    def _tick(self) -> None:
        """While the screen is in front: show what has changed."""
        work = self.program.bench_work
        if work is not self._work and work is not None:
            self._adopt(work)
        if work is None or not self.is_current:
            return
        while self._told < len(work.run_state.notices):
            self.notify(work.run_state.notices[self._told], title="Engine", severity="warning", timeout=10)
            self._told += 1
        if self._setting_up:
            return
        self._ticks += 1
        calm = CALM if work.on_processor else 1
        just_ended = work.ended and work.state != self._state
        if self._ticks % calm == 0 or just_ended:
            self._pick_stream(work)
            self.query_one(StreamView).update_text()
        if self._ticks % (calm * METRICS_EVERY) == 0 or just_ended:
            self._show_metrics(work)

    def _adopt(self, work: BenchWork) -> None:
        """Show a run that has begun."""
        self._work, self._drawn, self._told = work, None, 0
        self._watched, self._pinned = None, False
        self.query_one(StreamView).show(None)
        self.query_one(SampleGrid).show(work.run_state)
        self._set_up(False)
        self.query_one(SampleGrid).focus()

    def _show_metrics(self, work: BenchWork) -> None:
        self.query_one(SampleGrid).update_cells()
        self.query_one(StreamView).update_state()
        snapshot = work.run_state.snapshot
        if snapshot is self._drawn or not snapshot.done:
            self._draw_metrics(work, snapshot, self._intervals if snapshot.done else {})
        elif not self._computing:
            self._computing = True
            self.program.in_thread(lambda: self._compute_intervals(work, snapshot), "intervals")
        if work.state != self._state:
            self._state = work.state
            self.refresh_bindings()  # lays out the footer anew

    def _draw_metrics(self, work: BenchWork, snapshot: RunSnapshot, intervals: Intervals) -> None:
        """Draw metrics and intervals of the same moment."""
        self._computing = False
        if work is self._work:
            self._drawn, self._intervals = snapshot, intervals
            self.query_one(Summary).show(work, snapshot, intervals)

    def _compute_intervals(self, work: BenchWork, snapshot: RunSnapshot) -> None:
        """In a thread: every eval's interval from its counts, then draw both."""
        from localrl.report import metrics

        found: Intervals = {}
        try:
            for i, part in enumerate(snapshot.evals):
                for budget, counts in [(None, part.counts), *part.budgets.items()]:
                    if accuracy := metrics.accuracy(counts):
                        found[i, budget] = accuracy
        finally:
            self.app.call_from_thread(self._draw_metrics, work, snapshot, found)

    def _pick_stream(self, work: BenchWork) -> None:
        """Keep a pinned stream; else follow the oldest running one once the shown one has ended."""
        view = self.query_one(StreamView)
        if self._pinned and self._watched:
            return
        view.explain(NO_TEXT if work.watching else "")
        if self._watched is None or not self._watched.running:
            running = work.run_state.running()
            if running:
                self._watched = running[0]
                view.show(self._watched)

    def _set_up(self, on: bool) -> None:
        self._setting_up = on
        self.query_one(ContentSwitcher).current = "setup" if on else "at-work"
        if on:
            self._refresh_unfinished()
        self.refresh_bindings()

    # -- the form

    def on_setup_begin(self) -> None:
        self.action_new()

    async def on_setup_continue(self, event: Setup.Continue) -> None:
        await self.program.resume_run(event.run)
        if self._work and self._work.stored and self._work.stored.id == event.run:
            self._set_up(False)  # it was behind the form

    def on_setup_changed(self) -> None:
        """Estimate the run once the form has not changed for a moment."""
        if self._estimating:
            self._estimating.stop()
        self._estimating = self.set_timer(ESTIMATE_AFTER_S, self._estimate)

    def _estimate(self) -> None:
        setup, program = self.query_one(Setup), self.program
        try:
            request = setup.request(program.selection)
        except UsageError as error:
            setup.show_estimate(str(error))
            return

        self.background(lambda: plans.estimated(request, program.settings), setup.show_estimate, "estimate")

    def _refresh_unfinished(self) -> None:
        self.background(plans.unfinished, self.query_one(Setup).unfinished, "unfinished runs")

    # -- actions

    def leave(self) -> None:
        """Leave a field; else go back from the form to the run that was shown."""
        if self._setting_up and self._work and self.focused is None:
            self._set_up(False)
        else:
            self.set_focus(None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not super().check_action(action, parameters):
            return False
        work = self._work
        if action == "go_on":
            return self._setting_up or (work is not None and work.lacks_samples)
        if action in ("pause", "stop"):
            return work is not None and not work.ended and not work.watching
        return True

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """What the footer shows: the key that pauses says what it does now."""
        found = super().active_bindings
        if self._work and self._work.state == "paused":
            for key, active in found.items():
                if active.binding.action == "pause":
                    binding = dataclasses.replace(active.binding, description="Resume")
                    found[key] = active._replace(binding=binding)
        return found

    def action_new(self) -> None:
        """Show the form; on the form, begin the run that it describes."""
        if not self._setting_up:
            self._set_up(True)
            return
        program = self.program
        try:
            request = self.query_one(Setup).request(program.selection)
        except UsageError as error:
            program.tell_error(error, "new run")
            return
        program.in_thread(lambda: program.start_run(request), "new run")

    async def action_go_on(self) -> None:
        """Go on with the run that is shown, or from the form with the newest that was left unfinished."""
        if not self._setting_up:
            if self._work and self._work.stored:
                await self.program.resume_run(self._work.stored.id)
        elif left := self.query_one(Setup).left:
            await self.program.resume_run(left[0])
        else:
            self.notify("No run was left unfinished.", timeout=3)

    def action_pause(self) -> None:
        if self._work:
            self._work.pause()
            self._show_metrics(self._work)

    def action_stop(self) -> None:
        self.program.stop_bench()

    def stop_work(self) -> bool:
        return self.program.stop_bench()

    def action_watch(self) -> None:
        """Watch the sample under the cursor."""
        if (key := self.query_one(SampleGrid).key_at_cursor()) and self._work:
            self._watch(self._work.run_state.streams.get(key))

    def on_sample_grid_chosen(self, event: SampleGrid.Chosen) -> None:
        if self._work:
            self._watch(self._work.run_state.streams.get(event.key))

    def _watch(self, stream: LiveSample | None) -> None:
        if stream is None:
            self.notify("No live text of this sample; the results have what is stored.", timeout=4)
            return
        self._watched, self._pinned = stream, True
        self.query_one(StreamView).show(stream)

    def action_stream(self, step: int) -> None:
        """The next or previous running stream."""
        running: list[Any] = self._work.run_state.running() if self._work else []
        if running:
            at = running.index(self._watched) if self._watched in running else -step
            self._watch(running[(at + step) % len(running)])

    def action_follow(self) -> None:
        """Go on with whichever stream runs."""
        self._pinned = False

    def action_wide(self) -> None:
        self.toggle_class("-stream-wide")

    async def action_results(self) -> None:
        if "results" in self.app.MODES:
            await self.program.switch_mode("results")


def _evals() -> list[tuple[str, str]]:
    """Every eval with its title."""
    from localrl.errors import LocalrlError
    from localrl.evals import spec

    found = []
    for name in spec.available():
        try:
            found.append((name, spec.load(name)[0].title))
        except LocalrlError as error:
            found.append((name, str(error)))
    return sorted(found, key=lambda pair: (pair[0] != "starter", pair[0]))

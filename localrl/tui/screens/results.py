"""Look at what came out: all runs, one run's samples, and runs side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import ContentSwitcher, Input, Static

from localrl.formats import number, percents
from localrl.tui import keys
from localrl.tui.screens.base import BaseScreen
from localrl.tui.symbols import SYMBOLS
from localrl.tui.widgets.results.comparison import ComparisonView
from localrl.tui.widgets.results.report import ReportView
from localrl.tui.widgets.results.sample import SampleView
from localrl.tui.widgets.results.scatter import SIGNS, Scatter, ScatterPoint
from localrl.tui.widgets.table import Cell, Column, VirtualTable

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from localrl.report.comparison_summary import ComparisonSummary
    from localrl.report.listing import ListedRun
    from localrl.sample import SampleRow
    from localrl.store.samples import SampleRows
    from localrl.tui.work.results import Detail

RUNS = (
    Column("", 3),
    Column("run", 12),
    Column("model", 0),
    Column("evals", 14, least=100),
    Column("accuracy", 12, right=True),
    Column("tok/s", 7, right=True),
    Column("samples", 7, right=True),
    Column("status", 8),
)
SAMPLES = (
    Column("", 1),
    Column("problem", 0),
    Column("#", 3, right=True),
    Column("tokens", 7, right=True),
    Column("tok/s", 6, right=True, least=40),
)


class ResultsScreen(BaseScreen):
    GROUP = "results"
    BINDINGS = keys.bindings("results")
    CSS = """
    ResultsScreen ContentSwitcher { height: 1fr; }
    ResultsScreen #runs-pane { height: 1fr; }
    ResultsScreen #below { height: 1fr; }
    ResultsScreen #report-pane { width: 1fr; }
    ResultsScreen #plots { width: 1fr; }
    ResultsScreen.-narrow #plots { display: none; }
    ResultsScreen.-narrow.-plots #plots { display: block; }
    ResultsScreen.-narrow.-plots #report-pane { display: none; }
    ResultsScreen #list { width: 2fr; }
    ResultsScreen.-narrow #list { width: 3fr; }
    ResultsScreen SampleView { width: 3fr; }
    ResultsScreen #sums { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    ResultsScreen #filter { display: none; background: $surface; }
    ResultsScreen #filter.-open { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[ListedRun] = []
        self._marked: list[str] = []
        self._run: ListedRun | None = None
        self._outcome = ""
        self._asked = 0
        self._sure = ""

    def body(self) -> ComposeResult:
        with ContentSwitcher(initial="runs"):
            with Vertical(id="runs"):
                with Vertical(id="runs-pane", classes="pane") as pane:
                    pane.border_title = "runs · enter opens"
                    yield VirtualTable(RUNS, self._run_cells, id="run-table")
                with Horizontal(id="below"):
                    with VerticalScroll(id="report-pane", classes="pane"):
                        yield ReportView()
                    with Vertical(id="plots", classes="pane"):
                        yield Scatter("tokens per second")
                        yield Scatter("tokens per answer")
            with Horizontal(id="samples"):
                with Vertical(id="list", classes="pane"):
                    yield Static(id="sums")
                    yield Input(placeholder="part of a problem's name", id="filter", compact=True)
                    yield VirtualTable(SAMPLES, self._sample_cells, id="sample-table")
                yield SampleView(self.program.key("results.thinking"))
            with VerticalScroll(id="compare", classes="pane") as compare:
                back = self.program.key("app.leave")
                compare.border_title = Content(f"comparison · {back} goes back")
                yield ComparisonView()

    def on_mount(self) -> None:
        self.query_one("#run-table").focus()

    def on_screen_resume(self) -> None:
        self._load()

    @property
    def view(self) -> str:
        return self.query_one(ContentSwitcher).current or "runs"

    def _switch(self, view: str, focus: str) -> None:
        self.query_one(ContentSwitcher).current = view
        self.query_one(focus).focus()
        self.refresh_bindings()

    # -- runs

    def _load(self) -> None:
        def look() -> None:
            from localrl.tui.work import results

            self.call_later(self._loaded, results.runs())

        self.program.in_thread(look, "results")

    def _loaded(self, lines: list[ListedRun]) -> None:
        self._lines = lines
        self._marked = [run for run in self._marked if any(line.id == run for line in lines)]
        self.query_one("#run-table", VirtualTable).show(lines, keep_cursor=True)
        if not lines:
            words = f"No runs yet. Start one on the Bench screen ({self.program.key('app.bench')})."
            self.query_one(ReportView).update(Content.assemble((words, "$secondary")))
        speed, length = self.query(Scatter)
        judged = [(i, line, e) for i, line in enumerate(lines) for e in line.judged]
        speed.show([ScatterPoint(line.speed, e.accuracy, i) for i, line, e in judged if line.speed])
        length.show([ScatterPoint(e.tokens_per_sample, e.accuracy, i) for i, _, e in judged])

    def _run_cells(self, line: ListedRun) -> list[Cell]:
        mark = "●" if line.id in self._marked else " "
        sign = SIGNS[self._lines.index(line) % len(SIGNS)]
        colour = {"complete": "secondary", "running": "success"}.get(line.status, "warning")
        return [
            (f"{mark}{sign}", "primary"),
            (line.label, ""),
            (line.model, ""),
            (", ".join(line.evals), "secondary"),
            (percents(line.accuracies.values()), ""),
            (number(line.speed), ""),
            (f"{line.samples:,}", "secondary"),
            (line.status, colour),
        ]

    def on_virtual_table_highlighted(self, event: VirtualTable.Highlighted) -> None:
        if event.table.id == "run-table":
            self._sure = ""
            if line := event.table.current:  # not by its row: the runs may have been read again since
                self.query_one(ReportView).show(line)
        else:
            self._show_sample()

    def on_virtual_table_selected(self, event: VirtualTable.Selected) -> None:
        if event.table.id == "run-table":
            if (line := event.table.current) is None:
                return
            self._run, self._outcome = line, ""
            self.query_one("#filter", Input).value = ""
            back = self.program.key("app.leave")
            self.query_one("#list").border_title = Content(f"{line.label} · {back} goes back")
            self._switch("samples", "#sample-table")
            self._find()
        else:
            self.query_one(SampleView).query("LiveText").first().focus()

    # -- samples

    def _find(self) -> None:
        """Look for the samples that the filters let through."""
        run = self._run
        if run is None:
            return
        self._asked += 1
        asked, outcome, words = self._asked, self._outcome, self.query_one("#filter", Input).value.strip()

        def look() -> None:
            from localrl.tui.work import results

            self.call_later(self._found, asked, results.samples(run.id, outcome, words))

        self.program.in_thread(look, "samples")

    def _found(self, asked: int, rows: SampleRows) -> None:
        if asked != self._asked or self._run is None:
            return  # the person has asked for something else since
        self.query_one("#sample-table", VirtualTable).show(rows)
        self.query_one(SampleView).visible = len(rows) > 0
        chosen = SYMBOLS[self._outcome].label if self._outcome else "all"
        self.query_one("#sums", Static).update(
            Content.assemble(
                (f"{len(rows):,} ", "bold"), (f"of {self._run.samples:,} · {chosen}", "$secondary")
            )
        )

    def _sample_cells(self, line: SampleRow) -> list[Cell]:
        mark = SYMBOLS.get(line.outcome or "")
        return [
            (mark.sign, mark.colour) if mark else ("·", "secondary"),
            (line.problem, ""),
            (str(line.sample + 1), "secondary"),
            (f"{line.tokens:,}", ""),
            (number(line.tokens_per_s), "secondary"),
        ]

    def _show_sample(self) -> None:
        line, run = self.query_one("#sample-table", VirtualTable).current, self._run
        if line is None or run is None:
            return

        def look() -> None:
            from localrl.tui.work import results

            self.call_later(self._detailed, line, results.detail(run.id, line))

        self.program.in_thread(look, "sample")

    def _detailed(self, line: SampleRow, detail: Detail) -> None:
        if line == self.query_one("#sample-table", VirtualTable).current:
            self.query_one(SampleView).show(detail)

    def on_input_changed(self) -> None:
        self._find()

    def on_input_submitted(self) -> None:
        self.query_one("#sample-table").focus()

    # -- actions

    def leave(self) -> None:
        """One step back."""
        filter_field = self.query_one("#filter", Input)
        if self.view == "samples" and (self.focused is filter_field or filter_field.value):
            filter_field.value = ""
            filter_field.remove_class("-open")
            self.query_one("#sample-table").focus()
        elif self.view != "runs":
            self._switch("runs", "#run-table")

    def action_mark(self) -> None:
        line: ListedRun | None = self.query_one("#run-table", VirtualTable).current
        if line is None:
            return
        if line.id in self._marked:
            self._marked.remove(line.id)
        else:
            self._marked.append(line.id)
        self.query_one("#run-table").refresh()

    def action_compare(self) -> None:
        """The marked runs with the first that was marked."""
        marked = list(self._marked)
        if len(marked) < 2:
            key = self.program.key("results.mark")
            self.notify(f"Mark two or more runs first: {key} marks one.", timeout=4, markup=False)
            return

        def look() -> None:
            from localrl.tui.work import results

            self.call_later(self._compared, results.compare(marked))

        self.program.in_thread(look, "comparison")

    def _compared(self, summary: ComparisonSummary) -> None:
        self.query_one(ComparisonView).show(summary)
        self._switch("compare", "#compare")

    async def action_go_on(self) -> None:
        line: ListedRun | None = self.query_one("#run-table", VirtualTable).current
        if line is None or line.status == "complete":
            self.notify("This run lacks nothing.", timeout=3)
        else:
            await self.program.resume_run(line.id)

    def action_plots(self) -> None:
        """On a narrow screen, plots in the report's place."""
        self.toggle_class("-plots")

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.add_class("-open")
        field.focus()

    def action_outcome(self) -> None:
        """The next outcome that occurred, or all."""
        if self._run is None:
            return
        parts = self._run.report["evals"]
        occurred = [name for name in SYMBOLS if any(part["outcomes"].get(name) for part in parts)]
        choices = ["", *occurred]
        at = choices.index(self._outcome) if self._outcome in choices else 0
        self._outcome = choices[(at + 1) % len(choices)]
        self._find()

    def action_thinking(self) -> None:
        self.query_one(SampleView).toggle_thinking()

    def action_step(self, step: int) -> None:
        self.query_one("#sample-table", VirtualTable).action_move(step)

    def action_copy(self) -> None:
        if detail := self.query_one(SampleView).detail:
            parts = (detail.prompt, detail.thinking, detail.answer)
            self.app.copy_to_clipboard("\n\n".join(filter(None, parts)))
            self.notify("Copied the sample.", timeout=2)

    def action_report(self) -> None:
        line: ListedRun | None = self.query_one("#run-table", VirtualTable).current
        chosen = self._marked or ([line.id] if line else [])

        def write() -> None:
            from localrl.tui.work import results

            path = results.write_report(chosen)
            self.call_later(self.notify, f"Wrote {path}", markup=False)

        if chosen:
            self.program.in_thread(write, "report")

    def action_remove(self) -> None:
        """Delete the run; asks by wanting the key twice."""
        line: ListedRun | None = self.query_one("#run-table", VirtualTable).current
        if line is None:
            return
        if self._sure != line.id:
            self._sure = line.id
            key = self.program.key("results.remove")
            words = f"Press {key} again to delete {line.label} with all its samples."
            self.notify(words, timeout=5, markup=False)
            return

        def remove() -> None:
            from localrl.tui.work import results

            results.remove(line.id)
            self.call_later(self._load)

        self.program.in_thread(remove, "delete")

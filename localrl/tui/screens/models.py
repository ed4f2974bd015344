"""Choose a model: what fits this machine, what is on disk, and downloads in the background."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from localrl import formats
from localrl.tui import keys
from localrl.tui.screens.base import BaseScreen
from localrl.tui.widgets.models.details import VERDICTS, Details
from localrl.tui.widgets.models.queue import Queue
from localrl.tui.widgets.models.server import ServerFields
from localrl.tui.widgets.table import Cell, Column, VirtualTable

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.timer import Timer

    from localrl.catalog.assess import Assessment
    from localrl.machine.hardware import Machine
    from localrl.tui.work.downloads import Download
    from localrl.tui.work.models import ModelRow

TICK_S = 0.25
LOOK_AFTER_S = 0.1
ASK_AFTER_S = 0.2
COLUMNS = (
    Column("", 1),
    Column("model", 0),
    Column("fit", 5),
    Column("tok/s", 7, right=True),
    Column("right/h", 7, right=True),
    Column("accuracy", 9, right=True, least=98),
    Column("size", 9, right=True, least=87),
    Column("", 8),
)


class ModelsScreen(BaseScreen):
    GROUP = "models"
    BINDINGS = keys.bindings("models")
    CSS = """
    ModelsScreen #machine-pane { height: auto; }
    ModelsScreen #middle { height: 1fr; }
    ModelsScreen #table-pane { height: 3fr; }
    ModelsScreen #details-pane { height: 2fr; }
    ModelsScreen.-wide #middle { layout: horizontal; }
    ModelsScreen.-wide #table-pane { width: 2fr; height: 100%; }
    ModelsScreen.-wide #details-pane { width: 1fr; height: 100%; }
    ModelsScreen #model-filter { background: $surface; display: none; }
    ModelsScreen #model-filter.-open { display: block; }
    ModelsScreen #queue-pane { height: auto; display: none; }
    ModelsScreen #queue-pane.-open { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._machine: Machine | None = None
        self._backends: dict[str, bool] = {}
        self._rows: list[ModelRow] = []
        self._take = ""
        self._asking: Timer | None = None

    def body(self) -> ComposeResult:
        with Vertical(id="machine-pane", classes="pane") as pane:
            pane.border_title = "this machine"
            yield Static("looking …", id="machine")
            yield ServerFields()
        with Container(id="middle"):
            with Vertical(id="table-pane", classes="pane") as table:
                use = self.program.key("models.use")
                table.border_title = Content(f"models · {use} chooses")
                yield Input(placeholder="part of a name", id="model-filter", compact=True)
                yield VirtualTable(COLUMNS, self._cells, id="models")
            with VerticalScroll(id="details-pane", classes="pane"):
                yield Details("")
        with Vertical(id="queue-pane", classes="pane") as queue:
            pause, cancel = (self.program.key(f"models.{name}") for name in ("pause", "cancel"))
            queue.border_title = Content(f"downloads · {pause} pauses and goes on, {cancel} cancels")
            yield Queue()

    def on_mount(self) -> None:
        self.set_interval(TICK_S, self._tick)
        self.query_one("#models").focus()
        # Its imports would delay the first paint.
        self.set_timer(LOOK_AFTER_S, self._look)

    def _look(self) -> None:
        def look() -> None:
            from localrl.tui.work import models

            working = models.working_backends()
            machine = models.machine()
            self.call_later(self._found_machine, machine, working)
            rows = models.rows(machine)
            self.call_later(self._found, rows, models.advice(rows))

        self.program.in_thread(look, "models")

    def _found_machine(self, machine: Machine, working: dict[str, bool]) -> None:
        self._machine, self._backends = machine, working
        self._show_machine()

    def _found(self, rows: list[ModelRow], advice: str) -> None:
        first, self._rows = not self._rows, rows
        self.query_one("#table-pane").border_subtitle = Content(advice)
        self._filter()
        if first:  # begin where the person is
            at = next((i for i, row in enumerate(rows) if self._in_use(row)), 0)
            self.query_one("#models", VirtualTable).cursor = at

    def _in_use(self, row: ModelRow) -> bool:
        return self.program.selection.model in (row.name, row.name.partition(":")[0])

    def _show_machine(self) -> None:
        machine = self._machine
        if machine is None:
            return
        rate = f" · {formats.bandwidth(machine.bandwidth)}" if machine.bandwidth else ""
        device = machine.cpu if machine.kind == "cpu" else machine.device
        parts: list[str | tuple[str, str]] = [
            (device, "bold"),
            f" · {formats.size(machine.memory_bytes)}"
            f" · {formats.size(machine.usable_bytes)} for models{rate}\n",
        ]
        for name, works in self._backends.items():
            sign, colour = ("✓", "$success") if works else ("–", "$secondary")
            parts += [(f"{sign} ", colour), (f"{name}   ", "" if works else "$secondary")]
        choice = self.program.selection
        parts += [
            ("in use: ", "$secondary"),
            (f"{choice.model}", "bold"),
            (f" on {choice.backend}", "$secondary"),
        ]
        if work := self.program.serve_work:
            parts += [("\nserver: ", "$secondary"), work.line]
        self.query_one("#machine", Static).update(Content.assemble(*parts))

    # -- the table

    def _filter(self) -> None:
        words = self.query_one("#model-filter", Input).value.casefold().split()
        table = self.query_one("#models", VirtualTable)
        shown = [row for row in self._rows if all(w in f"{row.name} {row.title}".casefold() for w in words)]
        table.show(shown, keep_cursor=True)

    def _cells(self, row: ModelRow) -> list[Cell]:
        line = row.line
        verdict = line.plan.verdict if line else ""
        rate = formats.rate(line.throughput.together if line and line.throughput else None)
        downloads = self.program.downloads
        download = downloads.find(row.name) if downloads else None
        state = "broken" if row.error else "on disk" if row.is_here else ""
        if download and download.state != "done":
            state = formats.percent(download.share, 0) if download.state == "running" else download.state
        name = row.title if row.path else row.name
        return [
            ("●" if self._in_use(row) else " ", "primary"),
            (name, "" if verdict != "no" else "secondary"),
            (verdict or "–", VERDICTS.get(verdict, "").removeprefix("$")),
            (rate, "secondary"),
            (formats.number(line.right_per_hour if line else None), ""),
            (_accuracy(line), "secondary"),
            (formats.size(row.weight_bytes or None), "secondary"),
            (state, {"on disk": "success", "broken": "error"}.get(state, "primary")),
        ]

    @property
    def _row(self) -> ModelRow | None:
        row: ModelRow | None = self.query_one("#models", VirtualTable).current
        return row

    def on_virtual_table_highlighted(self) -> None:
        if row := self._row:
            self.query_one(Details).show(row, "")
            if self._asking:
                self._asking.stop()
            self._asking = self.set_timer(ASK_AFTER_S, self._ask)

    def _ask(self) -> None:
        """What the chosen backend means for the model that the cursor rests on."""
        if row := self._row:
            choice = replace(self.program.selection, model=row.name)

            def look() -> None:
                from localrl.tui.work import models

                self.call_later(self._taken, row, models.would_take(choice))

            self.program.in_thread(look, "backend")

    def _taken(self, row: ModelRow, take: str) -> None:
        if row is self._row:
            self.query_one(Details).show(row, take)

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "model-filter":
            self._filter()

    def on_input_submitted(self) -> None:
        self.query_one("#models").focus()

    def on_server_fields_named(self, event: ServerFields.Named) -> None:
        self.program.selection = replace(
            self.program.selection, endpoints=event.endpoints, server=event.server
        )
        self.query_one("#models").focus()

    def on_virtual_table_selected(self) -> None:
        self.action_use()

    def leave(self) -> None:
        field = self.query_one("#model-filter", Input)
        field.value = ""
        field.remove_class("-open")
        self.query_one("#models").focus()

    # -- downloads

    def _tick(self) -> None:
        self._show_server()
        downloads = self.program.downloads
        if downloads is None:
            return
        for download in list(downloads.queue):  # on whichever screen the person is
            if download.state == "done":
                downloads.queue.remove(download)
                self.notify(f"{download.name} is on disk.", markup=False)
                self._look()
            elif download.state == "failed" and not download.told:
                download.told = True
                text = f"{download.name}: {download.error}"
                self.notify(text, title="download", severity="error", timeout=15, markup=False)
        if self.is_current:
            self.query_one("#queue-pane").set_class(bool(downloads.queue), "-open")
            self.query_one(Queue).show(downloads.queue)
            self.query_one("#models").refresh()

    # -- actions

    def action_use(self) -> None:
        """Chats and new runs take this model from now on."""
        if row := self._row:
            self.program.select_model(row.name)
            self._show_machine()
            self.query_one("#models").refresh()
            if not row.is_here and self.program.selection.backend != "server":
                key = self.program.key("models.pull")
                self.notify(f"{row.name} is not on disk yet: {key} downloads it.", markup=False)

    async def action_chat(self) -> None:
        self.action_use()
        await self.program.switch_mode("chat")

    def action_pull(self) -> None:
        row = self._row
        if row is None or row.is_here:
            self.notify("It is on disk already.", timeout=3)
            return
        if self.program.downloads is None:
            from localrl.tui.work.downloads import Downloads

            self.program.downloads = Downloads()
        self.program.downloads.add(row.name)

    def action_serve(self) -> None:
        """Serve the chosen model to other programs, or stop the server."""
        if self.program.serve_work:
            self.program.serve_work.stop()
            return
        from localrl.tui.work.serve import ServeWork

        self.program.serve_work = ServeWork(self.program.selection)
        self._show_machine()

    def _show_server(self) -> None:
        """Keep the server's line up to date, and say why it could not start."""
        work = self.program.serve_work
        if work is None:
            return
        if work.ended:
            self.program.serve_work = None
            if work.error:
                self.notify(work.error, title="serve", severity="error", timeout=15, markup=False)
        if self.is_current:
            self._show_machine()

    def action_pause(self) -> None:
        """Pause a download, or go on with it."""
        if self.program.downloads and (download := self._download()):
            self.program.downloads.pause(download)

    def action_cancel(self) -> None:
        if self.program.downloads and (download := self._download()):
            self.program.downloads.cancel(download)

    def _download(self) -> Download | None:
        """That of the model under the cursor, or the one under way, or the first."""
        downloads = self.program.downloads
        if downloads is None or not downloads.queue:
            self.notify("Nothing is being downloaded.", timeout=3)
            return None
        chosen = downloads.find(self._row.name) if self._row else None
        return chosen or downloads.under_way or downloads.queue[0]

    def action_filter(self) -> None:
        field = self.query_one("#model-filter", Input)
        field.add_class("-open")
        field.focus()

    def action_quantisation(self) -> None:
        """The next quantisation of this model."""
        row = self._row
        if row and len(row.options) > 1:
            row.chosen = (row.chosen + 1) % len(row.options)
            self.query_one("#models").refresh()
            self.on_virtual_table_highlighted()

    def action_backend(self) -> None:
        """The next backend; a server also needs its address."""
        choice = self.program.selection
        names = ["auto", *self._backends]
        at = names.index(choice.backend) if choice.backend in names else -1
        chosen = names[(at + 1) % len(names)]
        if chosen not in ("auto", "server"):
            choice = replace(choice, endpoints=(), server=None)
        self.program.selection = replace(choice, backend=chosen)
        self.query_one(ServerFields).set_class(chosen == "server", "-open")
        self._show_machine()
        self.on_virtual_table_highlighted()

    def action_refresh(self) -> None:
        self._look()


def _accuracy(line: Assessment | None) -> str:
    known = line.expected.accuracy if line and line.expected else None
    if known is None:
        return formats.ABSENT
    return formats.percent(known.value) + ("*" if known.measured else "")

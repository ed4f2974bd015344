"""The terminal program: its screens, and the work that continues in the background."""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App
from textual.worker import Worker, WorkerState

from localrl import settings
from localrl.errors import LocalrlError, UsageError
from localrl.tui import keys, theme
from localrl.tui.commands import ActionCommands
from localrl.tui.sanitise import SanitiseFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from textual.app import SystemCommand
    from textual.filter import LineFilter
    from textual.screen import Screen

    from localrl.engine.protocol import ServerOptions
    from localrl.runs.request import RunRequest
    from localrl.tui.work.bench import BenchWork
    from localrl.tui.work.chat import ChatWork
    from localrl.tui.work.downloads import Downloads
    from localrl.tui.work.serve import ServeWork


SETTLE_AFTER_S = 0.5
ERROR_S = 15.0
"""How long an error is shown."""
SANITISE = SanitiseFilter()


@dataclass(frozen=True, slots=True)
class ModelSelection:
    """The model and the backend that chats and new runs use."""

    model: str
    backend: str = "auto"
    endpoints: tuple[str, ...] = ()
    server: ServerOptions | None = None


def _screen(name: str) -> Screen[None]:
    """Made when it is first shown; its module is imported then."""
    module = importlib.import_module(f"localrl.tui.screens.{name}")
    screen: Screen[None] = getattr(module, f"{name.title()}Screen")()
    return screen


class LocalrlApp(App[None]):
    """All screens are modes: each keeps its state while another is shown."""

    TITLE = "localrl"
    BINDINGS = keys.bindings("app")
    COMMANDS: ClassVar = App.COMMANDS | {lambda: ActionCommands}
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]
    MODES: ClassVar = {name: partial(_screen, name) for name in keys.GROUPS if name != "app"}
    DEFAULT_MODE = "models"
    CSS = """
    BaseScreen { background: $background; color: $foreground; }
    .pane { border: round $border; border-title-color: $secondary; border-title-style: none;
            border-subtitle-color: $secondary; padding: 0 1; }
    .pane:focus, .pane:focus-within { border: round $primary 70%; border-title-color: $primary; }
    .dim { color: $secondary; }
    VerticalScroll, OptionList, TextArea { scrollbar-size-vertical: 1; }
    Footer { background: $background; }
    ChatScreen ToastRack { dock: top; align: right top; margin: 0 1; } /* below is where one writes */
    Toast { background: $panel; }
    """

    def __init__(self, selection: ModelSelection | None = None) -> None:
        self.settings = settings.load().settings
        keymap = keys.remapped(self.settings.keys)
        super().__init__()
        self.selection = selection or ModelSelection(self.settings.model)
        self.bench_work: BenchWork | None = None
        self.chat_work: ChatWork | None = None
        self.downloads: Downloads | None = None
        self.serve_work: ServeWork | None = None
        self.ended_by = 0
        """The signal that ended the program, if one did."""
        self._told: dict[str, float] = {}
        """Errors, and when they were last shown."""
        self.set_keymap(keymap)
        for made in (theme.DARK, theme.LIGHT):
            self.register_theme(made)
        self.theme = theme.choose(self.settings.theme, self.available_themes)

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), SANITISE]

    def on_mount(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._end, number)

    def _end(self, number: int) -> None:
        """Leave in order, so that the terminal is given back as it was."""
        self.ended_by = number
        self.exit()

    def on_ready(self) -> None:
        # Imports that the first paint does not need must not delay it.
        self.set_timer(SETTLE_AFTER_S, lambda: self.in_thread(self._settle, "start"))

    def _settle(self) -> None:
        """In a thread: import the other screens, and offer to resume unfinished runs."""
        for name in ("chat", "bench", "results", "train"):
            importlib.import_module(f"localrl.tui.screens.{name}")
        from localrl.tui.work import plans

        # What is loaded now stays: scanning it in every collection makes the screen stutter. Collecting less
        # often instead (`gc.set_threshold`) costs a run a tenth of its tokens.
        gc.freeze()
        if left := [run for run in plans.unfinished() if not run.at_work]:
            text = "One run was" if len(left) == 1 else f"{len(left)} runs were"
            self.call_from_thread(
                self.notify,
                f"{text} left unfinished. Bench ({self.key('app.bench')}) goes on with it.",
                title="Unfinished",
            )

    def key(self, name: str) -> str:
        """The key of an action, for a hint that names it."""
        return keys.shown(name, self.settings.keys)[0]

    # -- actions

    async def action_show(self, name: str) -> None:
        if len(self.screen_stack) == 1:
            await self.switch_mode(name)  # later keys must reach a mounted screen

    def action_help(self) -> None:
        from localrl.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.current_mode))

    def action_toggle_theme(self) -> None:
        self.theme = theme.LIGHT.name if self.current_theme.dark else theme.DARK.name

    def action_leave(self) -> None:
        leave: Callable[[], None] | None = getattr(self.screen, "leave", None)
        if leave:
            leave()
        else:
            self.screen.set_focus(None)

    def action_stop_work(self) -> None:
        """Copy the selection; else stop the work of this screen, else the run in the background."""
        if selected := self.screen.get_selected_text():
            self.copy_to_clipboard(selected)
            return
        stop: Callable[[], bool] | None = getattr(self.screen, "stop_work", None)
        if (stop is None or not stop()) and not self.stop_bench():
            self.notify(f"Nothing is going on. {self.key('app.quit')} quits.", timeout=3)

    async def action_quit(self) -> None:
        """Quit; a run, reply or download under way is stopped first, and keeps what it has done."""
        if self.downloads:
            self.downloads.pause_all()
        if self.serve_work:
            self.serve_work.stop()
        if self.chat_work:
            self.chat_work.stop()
        work = self.bench_work
        if work and not work.ended:
            work.stop()
            if work.watching:
                self.exit()
                return
            self.notify("Stopping the run; everything done is kept.")
            self.set_interval(0.05, lambda: self.exit() if work.ended else None)
            self.set_timer(5, self.exit)
        else:
            self.exit()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Textual's own commands, without those that ours replace."""
        return [one for one in super().get_system_commands(screen) if one.title in ("Theme", "Screenshot")]

    async def perform(self, group: str, action: str) -> None:
        """Show a screen and run one of its actions."""
        if group == "app":
            await self.run_action(action)
            return
        if self.current_mode != group:
            await self.switch_mode(group)
        focused = self.screen.focused
        if focused and focused.check_consume_key("a", "a"):  # there a letter is text, not a key
            self.screen.set_focus(None)
        await self.screen.run_action(action)

    # -- work behind the screens

    def select_model(self, model: str) -> None:
        """Chats and new runs take this model from now on."""
        self.selection = replace(self.selection, model=model)
        talk, measure = self.key("app.chat"), self.key("app.bench")
        self.notify(f"{model}: {talk} talks to it, {measure} measures it.", timeout=4, markup=False)

    def begin_run(self, work: BenchWork) -> None:
        """Run until done or stopped, whichever screen is shown."""
        if self.bench_work and not self.bench_work.ended:
            if not self.bench_work.watching:
                self.notify("A run is under way: stop it first.", severity="warning")
                return
            self.bench_work.stop()
        if self.chat_work and not work.watching:  # two models at once may not fit
            self.in_thread(self.chat_work.close, "closing the chat's model")
        self.bench_work = work
        self.in_thread(work.run, "run")

    def start_run(self, request: RunRequest) -> None:
        """In a thread: begin a new run.

        Raises:
            UsageError: it cannot work as described.
        """
        from localrl.runs.plan import planned
        from localrl.tui.work.bench import BenchWork

        plan, _ = planned(request, self.settings)
        self.call_from_thread(self.begin_run, BenchWork(plan, name=request.name))

    async def resume_run(self, run_id: str) -> None:
        """Go on with a stored run, or watch it where a process works on it, and show it."""
        from localrl.store.locks import is_locked
        from localrl.store.runs import Store
        from localrl.tui.work.bench import BenchWork
        from localrl.tui.work.watched import WatchedRun

        shown = self.bench_work
        if shown is None or shown.ended or shown.stored is None or shown.stored.id != run_id:
            with Store() as store:
                run = store.find(run_id)
            self.begin_run(
                WatchedRun.resume(run) if is_locked(run) else BenchWork.resume(run, self.selection.server)
            )
        await self.switch_mode("bench")

    def stop_bench(self) -> bool:
        """Stop the run under way; False when there is none."""
        if self.bench_work is None or self.bench_work.ended or self.bench_work.watching:
            return False
        loading = self.bench_work.state == "loading"
        self.bench_work.stop()
        self.notify("Stopped." if loading else "Stopping after this step; everything done is kept.")
        return True

    def in_thread(self, work: Callable[[], Any], name: str) -> None:
        """Run blocking work in a thread; errors are shown."""
        self.run_worker(work, name=name, thread=True, exit_on_error=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            self.tell_error(event.worker.error, event.worker.name)

    def tell_error(self, error: BaseException | None, what: str) -> None:
        """Show an error, at most once in a while."""
        text = str(error) if isinstance(error, LocalrlError) else f"{type(error).__name__}: {error}"
        now = time.monotonic()
        if now - self._told.get(text, -ERROR_S) >= ERROR_S:  # all screens may meet the same full disk
            self._told[text] = now
            self.notify(text, title=what, severity="error", timeout=ERROR_S, markup=False)


def main() -> None:
    """Run the interface until the person leaves it.

    Raises:
        UsageError: there is no terminal that it could be drawn on.
    """
    if os.environ.get("TERM") == "dumb":
        raise UsageError("this terminal cannot show the interface (TERM=dumb)", hint="see localrl --help")
    if not sys.stderr.isatty():  # Textual draws there
        raise UsageError("the interface is drawn on stderr, which is no terminal here")
    if "utf" not in (sys.stderr.encoding or "").lower():
        hint = "set LC_ALL=C.UTF-8, or see localrl --help"
        raise UsageError(
            f"the interface needs UTF-8, and this locale writes {sys.stderr.encoding}", hint=hint
        )
    app = LocalrlApp()
    app.run()
    if app.ended_by:
        sys.exit(128 + app.ended_by)

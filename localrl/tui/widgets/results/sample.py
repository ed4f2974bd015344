"""One sample: what was asked, thought and answered, what was extracted, and why the verdict is what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from localrl.tui.symbols import SYMBOLS
from localrl.tui.widgets.livetext import LiveText

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from localrl.tui.work.results import Detail, ForkDetail

SHORT = 60
"""Characters of an answer that are shown beside the verdict."""
MOST_THINKING = 400
"""Characters of thinking shown while it is folded, from its end."""


class SampleView(Vertical):
    DEFAULT_CSS = """
    SampleView #verdict { height: auto; max-height: 6; }
    SampleView LiveText { height: 1fr; }
    """

    def __init__(self, unfold: str) -> None:
        """
        Args:
            unfold: the key that shows all of the thinking, in words.
        """
        super().__init__(classes="pane")
        self._unfold = unfold
        self.detail: Detail | None = None
        self.unfolded = False

    def compose(self) -> ComposeResult:
        yield Static(id="verdict")
        yield LiveText()

    def show(self, detail: Detail) -> None:
        self.detail = detail
        self.border_title = Content(f"{detail.name} · sample {detail.index + 1}")
        mark = SYMBOLS.get(detail.outcome or "")
        self.query_one("#verdict", Static).update(
            Content.assemble(
                (
                    f"{mark.sign} {mark.label}" if mark else "not judged",
                    f"bold ${mark.colour}" if mark else "",
                ),
                ("   extracted ", "$secondary"),
                (_short(detail.extracted) if detail.extracted is not None else "–", "bold"),
                ("   gold ", "$secondary"),
                (detail.target if len(detail.target) <= SHORT else "below", "bold"),
            )
        )
        self._fill()

    def toggle_thinking(self) -> None:
        self.unfolded = not self.unfolded
        self._fill()

    def _fill(self) -> None:
        detail, text = self.detail, self.query_one(LiveText)
        if detail is None:
            return
        text.clear()
        text.follow = False
        pieces = [(True, "prompt\n"), (False, detail.prompt + "\n\n")]
        if detail.thinking:
            whole = self.unfolded or len(detail.thinking) <= MOST_THINKING
            shown = detail.thinking if whole else f"… {detail.thinking[-MOST_THINKING:]}"
            length = f"{len(detail.thinking):,} characters"
            fold = "▾ thinking" if whole else f"▸ thinking, {length}: {self._unfold} shows all"
            pieces += [(True, f"{fold}\n{shown}\n\n")]
        pieces += [(True, "answer\n"), (False, (detail.answer or "(none)") + "\n\n")]
        if len(detail.target) > SHORT:
            pieces += [(True, f"gold\n{detail.target}\n\n")]
        for fork in detail.forks:
            pieces += [(True, f"{_fork(fork)}\n"), (False, (fork.answer or "(none)") + "\n\n")]
        if detail.why:
            pieces += [(True, f"why\n{detail.why}\n\n")]
        text.append([*pieces, (True, detail.facts)])
        text.scroll_home(animate=False)


def _fork(fork: ForkDetail) -> str:
    """A fork's verdict on a line."""
    mark = SYMBOLS.get(fork.outcome or "")
    said = f"extracted {_short(fork.extracted)}" if fork.extracted is not None else "nothing extracted"
    verdict = f"{mark.sign} {mark.label}, {said}" if mark else "not judged"
    after = ", answered after the run" if fork.replayed else ""
    return f"└ at {fork.budget:,} thinking tokens: {verdict}{after}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHORT else line[: SHORT - 1] + "…"

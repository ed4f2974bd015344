"""The downloads: how far each is, how fast, and how long it still takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from localrl.tui.words import span

if TYPE_CHECKING:
    from localrl.tui.work.downloads import Download

BAR, SHORT_BAR, WIDE = 20, 8, 100
NAME = 34
SHOWN = 4


class Queue(Static):
    DEFAULT_CSS = "Queue { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }"

    def show(self, downloads: list[Download]) -> None:
        lines = [self._line(download) for download in downloads[:SHOWN]]
        if len(downloads) > SHOWN:
            lines.append(Content.assemble((f"and {len(downloads) - SHOWN} more", "$secondary")))
        self.update(Content("\n").join(lines))

    def _line(self, download: Download) -> Content:
        bar = BAR if self.size.width >= WIDE else SHORT_BAR
        full = round(download.share * bar)
        progress = download.progress
        after = (download.error, "$error") if download.error else (download.state, "$secondary")
        if progress and download.state == "running":
            after = (
                f"{100 * download.share:3.0f} %  {_of(progress.got, progress.total)}  "
                f"{_rate(progress.bytes_per_s)}  {span(progress.eta_s)}",
                "",
            )
        elif progress and download.state == "paused":
            after = (
                f"{100 * download.share:3.0f} %  {_of(progress.got, progress.total)}  paused",
                "$secondary",
            )
        room = min(NAME, max(12, self.size.width - bar - 42))
        name = download.name if len(download.name) <= room else "…" + download.name[1 - room :]
        return Content.assemble(
            f"{name:<{room}} ", ("━" * full, "$primary"), ("━" * (bar - full), "$border"), " ", after
        )


def _of(got: int, total: int) -> str:
    """`8.9 of 19.9 GiB`"""
    unit, name, digits = (2**30, "GiB", 1) if total >= 2**30 else (2**20, "MiB", 0)
    return f"{got / unit:.{digits}f} of {total / unit:.{digits}f} {name}"


def _rate(bytes_per_s: float) -> str:
    return f"{bytes_per_s / 1e6:,.1f} MB/s" if bytes_per_s < 9.95e6 else f"{bytes_per_s / 1e6:,.0f} MB/s"

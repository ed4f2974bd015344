"""The downloads: how far each is, how fast, and how long it still takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from localrl.formats import bandwidth, duration, part_of_size, percent

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
                f"{percent(download.share, 0):>5}  {part_of_size(progress.got, progress.total)}  "
                f"{bandwidth(progress.bytes_per_s)}  {duration(progress.eta_s)}",
                "",
            )
        elif progress and download.state == "paused":
            after = (
                f"{percent(download.share, 0):>5}  {part_of_size(progress.got, progress.total)}  paused",
                "$secondary",
            )
        room = min(NAME, max(12, self.size.width - bar - 42))
        name = download.name if len(download.name) <= room else "…" + download.name[1 - room :]
        return Content.assemble(
            f"{name:<{room}} ", ("━" * full, "$primary"), ("━" * (bar - full), "$border"), " ", after
        )

"""The downloads: how far each is, how fast, and how long it still takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from localrl.tui.words import span

if TYPE_CHECKING:
    from localrl.tui.work.downloads import Download

BAR = 20
SHOWN = 4


class Queue(Static):
    DEFAULT_CSS = "Queue { height: auto; }"

    def show(self, downloads: list[Download]) -> None:
        lines = [self._line(download) for download in downloads[:SHOWN]]
        if len(downloads) > SHOWN:
            lines.append(Content.assemble((f"and {len(downloads) - SHOWN} more", "$secondary")))
        self.update(Content("\n").join(lines))

    def _line(self, download: Download) -> Content:
        full = round(download.share * BAR)
        parts: list[str | tuple[str, str]] = [
            f"{download.name[:34]:<34} ",
            ("━" * full, "$primary"),
            ("━" * (BAR - full), "$border"),
            " ",
        ]
        progress = download.progress
        if download.error:
            parts.append((download.error, "$error"))
        elif progress and download.state == "running":
            parts.append(
                f"{100 * download.share:.0f} %  {progress.got / 1e9:.2f} of {progress.total / 1e9:.2f} GB  "
                f"{progress.bytes_per_s / 1e6:,.0f} MB/s  {span(progress.eta_s)}"
            )
        else:
            parts.append((download.state, "$secondary"))
        return Content.assemble(*parts)

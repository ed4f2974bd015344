"""Where servers are, and how they are asked: the flags of the command line as fields."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from textual.containers import Grid
from textual.message import Message
from textual.widgets import Input, Label

from localrl.errors import UsageError

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from localrl.engine.protocol import ServerOptions

FIELDS = (
    # name, label, what may be written
    ("endpoint", "endpoints", "http://host:8000/v1"),
    ("headers", "headers", "NAME: VALUE; NAME: VALUE (sent, never stored)"),
    ("extra-body", "extra body", '{"more": "fields of every request"}'),
    ("ca-file", "CA file", "certificates to trust beside the system's, as PEM"),
)
_NEXT_HEADER = re.compile(r";\s*(?=[\w-]+:|$)")


class ServerFields(Grid):
    DEFAULT_CSS = """
    ServerFields { display: none; height: auto; grid-size: 2; grid-columns: 12 1fr; grid-rows: 1; }
    ServerFields.-open { display: block; }
    ServerFields Input { background: $surface; }
    ServerFields Label { color: $secondary; }
    """

    class Named(Message):
        """The person has filled them in."""

        def __init__(self, endpoints: tuple[str, ...], server: ServerOptions) -> None:
            super().__init__()
            self.endpoints, self.server = endpoints, server

    def compose(self) -> ComposeResult:
        for name, label, hint in FIELDS:
            yield Label(label)
            yield Input(placeholder=hint, id=name, compact=True)

    def _value(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        try:
            self.post_message(self.Named(tuple(self._value("endpoint").split()), self._options()))
        except UsageError as error:
            self.notify(str(error), title="server", severity="error", markup=False)

    def _options(self) -> ServerOptions:
        """
        Raises:
            UsageError: a field holds something else than it should.
        """
        from localrl.engine.backends.server import options  # not for the first paint
        from localrl.engine.protocol import ServerOptions

        headers, body, file = self._value("headers"), self._value("extra-body"), self._value("ca-file")
        try:
            named = tuple(options.header(part) for part in _NEXT_HEADER.split(headers) if part)
            more = options.extra_body(body) if body else {}
        except ValueError as error:
            raise UsageError(str(error)) from error
        path = Path(file).expanduser()
        if file and not path.is_file():
            raise UsageError(f"no file {file}")
        return ServerOptions(named, more, str(path.resolve()) if file else "")

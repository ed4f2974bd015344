"""The server that the Models screen starts and stops, whichever screen is shown."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from localrl import formats, installation
from localrl.errors import LocalrlError, Unavailable

if TYPE_CHECKING:
    from localrl.serve.background import BackgroundServer
    from localrl.tui.app import ModelSelection


PORT = 8080


class ServeWork:
    """One server, in threads of its own."""

    def __init__(self, selection: ModelSelection) -> None:
        """Begin to load and serve a model; `error` says why not."""
        self.model, self.error, self.ended = selection.model, "", False
        self._selection = selection
        self._server: BackgroundServer | None = None
        self._stopping = threading.Event()
        threading.Thread(target=self._run, name="serve", daemon=True).start()

    @property
    def line(self) -> str:
        """Address, who runs and waits, and tokens per second."""
        status = self._server.status if self._server else None
        if self.ended or status is None or status.state == "loading":
            return f"{'stopped' if self.ended else 'loading'} {self.model}"
        return (
            f"serving at {status.address}/v1 · {status.running} running, {status.waiting} waiting · "
            f"{formats.rate(status.tokens_per_s)} tok/s"
        )

    def stop(self) -> None:
        """Stop it soon, also while it loads."""
        self._stopping.set()

    def _run(self) -> None:
        try:
            self._serve()
        except LocalrlError as error:
            self.error = str(error)
        except ImportError as error:
            missing = Unavailable(f"{error.name} is not installed", hint=installation.extra("server"))
            self.error = str(missing)
        finally:
            self.ended = True

    def _serve(self) -> None:
        from localrl.serve import server
        from localrl.serve.background import BackgroundServer
        from localrl.serve.options import ServeOptions

        choice, settings = server.make(self.model, backend=self._selection.backend)
        self._server = BackgroundServer(choice, settings, ServeOptions(port=PORT))
        starting = threading.Thread(target=self._stop_when_asked, daemon=True)
        starting.start()
        self._server.start()
        starting.join()

    def _stop_when_asked(self) -> None:
        self._stopping.wait()
        assert self._server
        self._server.stop()

"""A server in a thread with an event loop of its own, for programs that are busy with another."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from localrl.errors import LocalrlError
from localrl.serve.server import Server, Status

if TYPE_CHECKING:
    from localrl.engine.protocol import EngineSettings
    from localrl.engine.resolve import Resolved
    from localrl.serve.options import ServeOptions


class BackgroundServer:
    """Start it, look at its `status`, stop it; from any thread but its own."""

    def __init__(self, choice: Resolved, settings: EngineSettings, options: ServeOptions) -> None:
        self._made = (choice, settings, options)
        self._server: Server | None = None
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self.error: LocalrlError | None = None
        """Why it could not start."""
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    def start(self) -> None:
        """Return once the model is loaded.

        Raises:
            LocalrlError: the address is taken, or the model cannot be loaded.
        """
        self._thread.start()
        self._started.wait()
        if self.error:
            self._thread.join()
            raise self.error

    @property
    def status(self) -> Status | None:
        """None while it does not run."""
        return self._server.status if self._server and self._thread.is_alive() else None

    def stop(self) -> None:
        """Stop it, also while it loads, and wait for its end."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._started.set()
            self._loop.close()

    async def _serve(self) -> None:
        self._server = server = Server(*self._made)
        starting, stopping = asyncio.create_task(server.start()), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                self._started.set()
                await stopping
        except LocalrlError as error:
            self.error = error
        finally:
            starting.cancel()
            stopping.cancel()
            await server.stop()

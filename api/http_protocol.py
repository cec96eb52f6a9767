"""HTTP/1.1 by httptools, with limits on what comes before a body: `uvicorn --http`.

It answers a millisecond sooner than h11, but would take headers of any size; and neither gives up
on a request that doesn't come.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 65_536
"""Of the request line and headers, beyond the first read of at most 256 kB."""
HEAD_SECONDS = 10.0
"""From the connection, or a request's first byte, to the end of its headers."""


class BoundedHead(HttpToolsProtocol):
    """Closes connections whose request line and headers are too large or too slow."""

    _reading_head = False
    _head = 0
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Waits for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Waits no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses, unless a head that began earlier grows too large."""
        if self._reading_head:
            self._head += len(data)
        super().data_received(data)
        if self._reading_head and self._head > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"Request line and headers of over {HEAD_BYTES} bytes.")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._reading_head, self._head = True, 0
        self._wait()

    def on_headers_complete(self) -> None:
        """What follows is the body, which has limits of its own."""
        self._reading_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def _wait(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        self.transport.close()

"""HTTP/1.1 as uvicorn speaks it with h11, where what is no HTTP gets an error in our form, once, and no traceback.

A connection without a whole request is closed after 30 seconds, without a word.

Not covered: what is no HTTP after an answer to it has begun; then the connection is closed without a word. More
connections within that time than this process may have open.
"""

from __future__ import annotations

import asyncio
import json

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from components.serve.http.errors import invalid

__all__ = ["Protocol"]

_REQUEST_SECONDS = 30.0  # for the line and the headers of a request
_HEADERS = [("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("Connection", "close")]


class Protocol(H11Protocol):
    """One connection."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """It is open."""
        super().connection_made(transport)
        self._time()

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        super().data_received(data)
        self._time()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        super().connection_lost(exc)
        if self._late:
            self._late.cancel()

    def _time(self) -> None:
        """While no request is being answered the next one has its time, from the first byte of it on."""
        if self.cycle is None or self.cycle.response_complete:
            self._late = self._late or self.loop.call_later(_REQUEST_SECONDS, self.transport.close)
        elif self._late:
            self._late.cancel()
            self._late = None

    def _unsupported_upgrade_warning(self) -> None:
        """What asks to go on in another protocol is answered in this one; that is worth no line in the log."""

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be understood, and close the connection.

        It may be the rest of a request that is being answered, or was: whoever answers it is told that its client is
        gone, and of an answer that has begun the client sees that it breaks off.
        """
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps(invalid("This is no HTTP/1.1.", code="invalid_http").body()).encode()
            headers = [*_HEADERS, ("Content-Length", str(len(body)))]
            for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

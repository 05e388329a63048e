"""The server: an address that is bound before anything is told of it, and an end that lets questions be answered.

State after a hard crash: none; a client sees its connection closed. A question that was being answered is not in the
usage log.
"""

from __future__ import annotations

import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from components.errors import InputError, TerminalError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["address_of", "bind", "run"]

_TRIES = 50
_END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def bind(host: str, port: int) -> socket.socket:
    """Listen on an address: on the port, or the next free one if it is taken; 0: any.

    Raises:
        InputError: the address is none of this machine, or the port is not for its user.
        TerminalError: 50 ports in a row are taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InputError(f"serve.host {host}: no such address ({error.strerror or error})") from None
    for number in range(port, min(port + (_TRIES if port else 1), 65536)):
        # The protocol has to be named: asyncio sends small packets at once (TCP_NODELAY) only where it reads it there.
        # Else the body of each answer waits until its head was acknowledged, which clients put off for 40 ms.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that has just ended is gone
            listening.bind((address[0], number, *address[2:]))
            listening.listen(1024)
        except OSError as error:
            listening.close()
            if error.errno == errno.EADDRINUSE:
                continue
            raise InputError(f"cannot listen on {host} port {number}: {error.strerror}") from None
        return listening
    raise TerminalError(
        f"the ports {port} to {min(port + _TRIES, 65536) - 1} of {host} are all taken; name another one"
    )


def address_of(listening: socket.socket) -> str:
    """URL of a socket that listens. One that listens on all addresses is told as loopback."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(
    app: ASGIApp, listening: socket.socket, *, grace_seconds: float, until: threading.Event | None = None,
    ready: Callable[[], object] = lambda: None,
) -> None:  # fmt: skip
    """Serve until SIGINT, SIGTERM or SIGHUP, or until `until` is set: then nothing new is taken.

    Requests that are being answered have `grace_seconds` to end; a second signal ends them at once. A signal that this
    process was begun to ignore stays ignored: SIGHUP under `nohup`, SIGINT in the background of a shell's script. In
    another thread than the main one only `until` ends it. `ready` is called once requests are answered and signals end
    it cleanly.
    """
    import uvicorn

    from components.serve.http.protocol import Protocol

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """As uvicorn, for SIGHUP too, and without raising them again: this is a clean end."""
            if threading.current_thread() is not threading.main_thread():
                yield
                return
            heard = [number for number in _END_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
            before = {number: signal.signal(number, self.end) for number in heard}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

        def end(self, number: int, frame: FrameType | None) -> None:
            self.force_exit = self.should_exit
            self.should_exit = True

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

        async def on_tick(self, counter: int) -> bool:
            if until is not None and until.is_set():
                self.should_exit = True
            return await super().on_tick(counter)

    application: Any = app  # the same, in uvicorn's own words
    config = uvicorn.Config(
        application, log_config=None, access_log=False, lifespan="off", server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(grace_seconds)), timeout_keep_alive=30, ws="none", http=Protocol,
    )  # fmt: skip
    Server(config).run(sockets=[listening])

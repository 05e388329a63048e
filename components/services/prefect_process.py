"""The process that is the Prefect server of a workspace: `python -m components.services.prefect_process FOLDER PORT`.

It detaches (Ctrl-C in the terminal of one run must not end the server under another), and lives exactly as long as
anyone holds `users.lock`: the kernel lets go of the lock of a process that was killed, so no server is left behind by
`kill -9`. One process, no children. See `prefect_server` for the whole protocol.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from components.services.pages import asks_nobody
from components.services.process_start import started_at
from components.store import FileLock

_WATCH_SECONDS = 0.2
_GRACE_SECONDS = 10.0
_TRIES = 50
ALREADY_RUNNING = 4


def main(folder: Path, port: int = 0) -> int:
    """Serve the Prefect API and UI of `folder` (`<workspace>/prefect`) on a port of 127.0.0.1.

    `port`: the wanted one, or the next free one of the fifty after it, or any; 0: any.

    Returns at once, with the server left running detached; its address is in `folder/server.json` by then.
    Returns ALREADY_RUNNING if `folder` has a server already.
    """
    alive = FileLock(folder / "server.lock")  # held until the last process that has it open is gone: the server
    tries = 10  # someone who only looks whether it is held holds it for an instant
    while not alive.try_exclusive():
        tries -= 1
        if not tries:
            return ALREADY_RUNNING
        time.sleep(0.1)
    # Bound here and never let go, so that nobody can take the port between choosing it and serving on it.
    listener = _bound(port)
    if os.fork():
        return 0
    os.setsid()
    port = listener.getsockname()[1]
    pid = os.getpid()
    url = f"http://127.0.0.1:{port}/api"
    here = {"pid": pid, "began": started_at(pid), "host": socket.gethostname()}
    state = {**here, "api_url": url, "started": time.time()}
    temporary = folder / "server.json.tmp"
    temporary.write_text(json.dumps(state), encoding="utf-8")
    temporary.replace(folder / "server.json")
    _serve(folder=folder, listener=listener, port=port)
    return 0


def _bound(wanted: int) -> socket.socket:
    for port in range(wanted, min(wanted + _TRIES, 65536)) if wanted else ():
        listener = _new()
        # As servers do, so that one that was killed can be replaced on its port at once. Only who listens has it then.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(2048)
        except OSError:
            listener.close()
        else:
            return listener
    listener = _new()
    # Its connections inherit it: without, they would hold the port for a minute after the server was killed.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    return listener


def _new() -> socket.socket:
    # With its protocol, by which asyncio knows that it may send small packets at once (TCP_NODELAY). Without, each
    # answer's body waits until its head was acknowledged: 40 ms for every call of the API.
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)


def _serve(*, folder: Path, listener: socket.socket, port: int) -> None:
    servers: list[Any] = []
    watch = threading.Thread(target=_end_when_unused, args=(FileLock(folder / "users.lock"), servers), daemon=True)
    watch.start()
    # Read by Prefect when it is imported: where the UI finds the API, and who may call it from a browser.
    os.environ["PREFECT_SERVER_API_PORT"] = str(port)
    os.environ["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] = f"http://127.0.0.1:{port},http://localhost:{port}"

    import uvicorn
    from prefect.server.api.server import create_app

    app = asks_nobody(create_app(final=True), port=port)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5))
    servers.append(server)
    server.run(sockets=[listener])


def _end_when_unused(users: FileLock, servers: list[Any]) -> None:
    while not users.try_exclusive():
        time.sleep(_WATCH_SECONDS)
    # From here on the lock is ours: whoever comes now waits until this process is gone, and starts a new one.
    if servers:
        servers[0].should_exit = True
        time.sleep(_GRACE_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))

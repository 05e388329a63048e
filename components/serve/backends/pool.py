"""The servers of one `cervella serve`: shared by what they can serve together, ended when nobody holds them.

One base model is served once: another adapter on it is loaded beside the one in use, and the old one is let go when its
last request is done. Another base, or an adapter of a greater rank, gets a server of its own beside: then both are in
memory for the time of the change.

State after a hard crash: see `server`.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.errors import TransientError
from components.llm.params import ChatParams
from components.serve.backends.chat import ServedChat
from components.serve.backends.server import Server
from components.serve.backends.sweeper import sweep
from components.serve.backends.vllm import lora_rank
from components.serve.backends.weights import Adapter, Base
from components.serve.params import VllmParams
from components.store import logger

__all__ = ["Held", "Pool"]


@dataclass
class Held:
    """A model that is served for as long as it is held. `backend`: what asks it. `close` lets go of it, once."""

    backend: ServedChat
    _let_go: Callable[[], None] = field(repr=False)
    _closed: bool = False

    def close(self) -> None:
        """It need not be served any more."""
        if not self._closed:
            self._closed = True
            self._let_go()


class Pool:
    """Servers by what they serve. Any thread may take.

    Args:
        workspace: whose they are; what a `cervella serve` of it that was killed has left is ended first.
        params: how they are started.
        say: is told how a start goes.
    """

    def __init__(self, workspace: Path, *, params: VllmParams, say: Callable[[str], None]) -> None:
        self._workspace, self._params, self._say = workspace, params, say
        self._key = secrets.token_urlsafe(32)
        self._servers: dict[tuple[str, int, int], Server] = {}
        self._users: dict[Server, int] = {}
        self._lock = threading.Lock()
        self._ends = False
        if left := sweep(workspace):
            logger.warning("ended %d processes that a server of a killed `cervella serve` had left", left)

    def take(self, base: Base, adapter: Adapter | None, *, chat: ChatParams) -> Held:
        """The model, served; waits until it answers.

        Args:
            base: its base model.
            adapter: on it; None: the base alone.
            chat: how it is asked (`context_tokens`, `temperature`, `seed`, `timeout_seconds`).

        Raises:
            TerminalError: it is not installed, does not start, or refuses the adapter.
            TransientError: it did not answer in time, or everything ends (`hurry`, `close`): then none is started.
        """
        context = min(chat.context_tokens, base.longest or chat.context_tokens)
        server = self._server((base.identity, context, lora_rank(adapter)), base)
        try:
            server.wait(say=self._say)
            if adapter:
                server.hold(adapter)
        except BaseException:
            self._leave(server)
            raise

        def let_go() -> None:
            if adapter:
                server.let_go(adapter)
            self._leave(server)

        return Held(ServedChat(server, adapter=adapter, chat=chat), let_go)

    def told(self) -> list[dict[str, Any]]:
        """For `/health`: each server."""
        with self._lock:
            return [server.told() for server in self._servers.values()]

    def hurry(self) -> None:
        """Nobody waits any more for a server that is not up, and none is started any more."""
        with self._lock:
            self._ends = True
            for server in self._users:
                server.hurry.set()

    def close(self) -> None:
        """End all of them, whoever holds them; none is started any more."""
        with self._lock:
            self._ends = True
            servers = list(self._users)
            self._servers.clear()
            self._users.clear()
        for server in servers:
            server.ending.set()
        for server in servers:
            server.close()

    def _server(self, which: tuple[str, int, int], base: Base) -> Server:
        with self._lock:
            if self._ends:  # whoever follows what is in service may have begun to open it before
                raise TransientError("no vLLM is started or taken any more: `cervella serve` ends")
            server = self._servers.get(which)
            if server is None:
                server = Server(
                    base=base, workspace=self._workspace, context=which[1], rank=which[2], key=self._key,
                    params=self._params,
                )  # fmt: skip
                server.start()
                self._say(f"vLLM is started with {base.name}: about 100 s on a processor; its log: {server.log}")
                self._servers[which] = server
            self._users[server] = self._users.get(server, 0) + 1
            return server

    def _leave(self, server: Server) -> None:
        with self._lock:
            left = self._users.get(server, 0) - 1
            if left > 0:
                self._users[server] = left
                return
            self._servers = {which: one for which, one in self._servers.items() if one is not server}
        server.close()
        with self._lock:  # only now, so that `close` waits for one that is being ended
            self._users.pop(server, None)

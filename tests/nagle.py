"""Whether small packets are sent at once on the connections of a listening socket."""

from __future__ import annotations

import asyncio
import socket

__all__ = ["sends_at_once"]


def sends_at_once(listening: socket.socket) -> bool:
    """What an asyncio server sets on a connection (TCP_NODELAY). Closes the socket."""

    async def seen() -> bool:
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            told.set_result(bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
            writer.close()

        async with await asyncio.start_server(meet, sock=listening):
            _, writer = await asyncio.open_connection(*listening.getsockname()[:2])
            found = await told
            writer.close()
            await writer.wait_closed()
        return found

    return asyncio.run(seen())

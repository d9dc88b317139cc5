"""A listening socket on asyncio that passes accepted connections to one of the truth servers."""

from __future__ import annotations

import asyncio
from typing import Protocol

from tests.servers.config import Kind, ServerConfig
from tests.servers.http1 import Http1
from tests.servers.http2 import Http2
from tests.servers.log import SeenConnection, ServerLog
from tests.servers.proxies import HttpProxy, SocksProxy


class Server(Protocol):
    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: SeenConnection
    ) -> None: ...


SERVERS: dict[Kind, type[Http1 | Http2 | HttpProxy | SocksProxy]] = {
    "http1": Http1,
    "http2": Http2,
    "proxy": HttpProxy,
    "socks": SocksProxy,
}


class Listener:
    """Started and stopped inside the event loop that serves."""

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self.log = ServerLog()
        self.port: int | None = None
        self._server: Server = SERVERS[config.kind](config)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; afterwards `port` is known (None on a unix socket)."""
        tls = self.config.tls()
        if self.config.uds is not None:
            self._listening: asyncio.Server = await asyncio.start_unix_server(
                self._accepted, self.config.uds, ssl=tls, backlog=512
            )
        else:
            self._listening = await asyncio.start_server(self._accepted, "127.0.0.1", 0, ssl=tls, backlog=512)
            self.port = self._listening.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and end the connections being served."""
        self._listening.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def seen(self) -> list[dict[str, object]]:
        """The log; what it says that the server closed really is closed by now."""
        log = self.log.to_plain()
        await asyncio.sleep(0)  # a transport closes its socket one turn of the loop later
        return log

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        peer = writer.get_extra_info("peername")
        seen = self.log.accept(peer[1] if isinstance(peer, tuple) else None)
        try:
            await self._server.serve(reader, writer, seen)
        finally:
            writer.close()

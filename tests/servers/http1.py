"""The HTTP/1.1 truth server: gives every connection a serial and remembers each request on it."""

from __future__ import annotations

import asyncio

from tests.servers.behaviours import BEHAVIOURS, fixed
from tests.servers.config import ServerConfig
from tests.servers.log import SeenConnection
from tests.servers.wire import PEER_GONE, Wire


class Http1:
    """Serves accepted connections as its config says."""

    def __init__(self, config: ServerConfig) -> None:
        self.config = config

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: SeenConnection
    ) -> None:
        wire = Wire(reader, writer, seen)
        try:
            while await self._one(wire):
                pass
        except PEER_GONE:
            seen.end("client")
        else:
            seen.end("server: closed")

    async def _one(self, wire: Wire) -> bool:
        try:
            request = await asyncio.wait_for(wire.read_request(), self.config.idle_close)
        except TimeoutError:
            wire.close("server: closed while idle")
            return False
        if request is None:
            wire.seen.end("client")
            return False
        wire.current = wire.seen.request(request.method, request.target)
        behaviour = BEHAVIOURS.get(request.target.split("/")[1].partition("?")[0], fixed)
        goes_on = await behaviour(wire, request) and not request.asks_to_close
        if (
            goes_on
            and self.config.close_after is not None
            and len(wire.seen.requests) >= self.config.close_after
        ):
            wire.close("server: closed while idle")
            return False
        return goes_on

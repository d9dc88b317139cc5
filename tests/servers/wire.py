"""Reading requests and writing answers of HTTP/1.1 on asyncio streams, and the ways to end a connection."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from time import perf_counter

from tests.servers.log import SeenConnection, SeenRequest

PEER_GONE = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError)


@dataclass(slots=True)
class Request:
    """The head of a request; its body stays in the stream until `Wire.read_body`."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body_length(self) -> int:
        return int(self.headers.get("content-length", "0"))

    @property
    def asks_to_close(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


class Wire:
    """One accepted connection: its streams and its entry in the log."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: SeenConnection
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.seen = seen
        self.current: SeenRequest | None = None

    async def read_request(self) -> Request | None:
        """The next request's head, not logged yet; None when the client closed between two requests."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except PEER_GONE:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        pairs = (line.split(":", 1) for line in lines if line)
        return Request(method, target, {name.strip().lower(): value.strip() for name, value in pairs})

    async def read_body(self, request: Request) -> bytes:
        """All of the request's body, by its length or chunked."""
        if request.headers.get("transfer-encoding", "").lower() != "chunked":
            return await self.reader.readexactly(request.body_length)
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()
        return body

    async def send(self, data: bytes) -> None:
        """Write, noting when the answer began."""
        if self.current is not None and self.current.answered_at is None:
            self.current.answered_at = perf_counter()
        self.writer.write(data)
        await self.writer.drain()

    async def answer(
        self, status: str = "200 OK", body: bytes = b"ok", version: str = "1.1", **headers: str
    ) -> None:
        """A whole answer with its length; header names are written with underscores instead of dashes."""
        lines = [f"HTTP/{version} {status}", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join([*lines, "", ""]).encode() + body)

    async def client_leaves(self) -> None:
        """Discard what arrives until the client closes or resets."""
        try:
            while await self.reader.read(65536):
                pass
        except PEER_GONE:
            pass
        self.seen.end("client")

    def reset(self, how: str) -> None:
        """End the connection with a RST instead of a FIN."""
        self.seen.end(how)
        sock = self.writer.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self, how: str) -> None:
        """Close the connection properly."""
        self.seen.end(how)
        self.writer.close()

"""Proxies with the same log: what they are asked for counts as the request on the client's connection."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import struct
from urllib.parse import urlsplit

from tests.servers.config import ServerConfig
from tests.servers.log import SeenConnection
from tests.servers.wire import PEER_GONE, Request, Wire


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except PEER_GONE:
        pass
    finally:
        writer.close()


async def _join(wire: Wire, host: str, port: int, first_bytes: bytes = b"") -> None:
    """Copy in both directions between the client and ``host:port`` until both have ended."""
    reader, writer = await asyncio.open_connection(host, port)
    wire.seen.onward_port = writer.get_extra_info("sockname")[1]
    writer.write(first_bytes)
    await asyncio.gather(_pump(wire.reader, writer), _pump(reader, wire.writer))
    wire.seen.end("client or origin")


class HttpProxy:
    """CONNECT for tunnels, absolute targets for forwarding; requires Basic credentials if it has any."""

    def __init__(self, config: ServerConfig) -> None:
        self.close_after = config.close_after
        self.expected = None
        if config.credentials is not None:
            self.expected = "Basic " + base64.b64encode(":".join(config.credentials).encode()).decode()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: SeenConnection
    ) -> None:
        wire = Wire(reader, writer, seen)
        try:
            while (request := await wire.read_request()) is not None:
                wire.current = seen.request(request.method, request.target)
                if self.expected is not None and request.headers.get("proxy-authorization") != self.expected:
                    await wire.read_body(request)
                    await wire.answer("407 Proxy Authentication Required", Proxy_Authenticate="Basic realm=x")
                elif request.method == "CONNECT":
                    await self._tunnel(wire, request)
                    return
                else:
                    last = len(seen.requests) == self.close_after
                    await self._forward(wire, request, **({"Connection": "close"} if last else {}))
                    if last:
                        wire.close("server: closed after an answer")
                        return
            seen.end("client")
        except PEER_GONE:
            seen.end("client")

    async def _tunnel(self, wire: Wire, request: Request) -> None:
        host, _, port = request.target.rpartition(":")
        if host == "refused.test":
            await wire.answer("502 Bad Gateway")
            wire.close("server: refused the tunnel")
            return
        await wire.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await _join(wire, "127.0.0.1" if host.endswith("localhost") else host, int(port))

    async def _forward(self, wire: Wire, request: Request, **headers: str) -> None:
        """Opens one connection to the origin per request, and keeps the client's own."""
        url = urlsplit(request.target)
        body = await wire.read_body(request)
        reader, writer = await asyncio.open_connection(url.hostname, url.port or 80)
        try:
            path = url.path + (f"?{url.query}" if url.query else "")
            head = f"{request.method} {path} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer_head = await reader.readuntil(b"\r\n\r\n")
            answer_body = await reader.read()
        finally:
            writer.close()
        status = answer_head.split(b"\r\n", 1)[0].split(b" ", 1)[1].decode()
        await wire.answer(status, answer_body, **headers)


class SocksProxy:
    """SOCKS5, CONNECT only; requires user and password if it has any."""

    def __init__(self, config: ServerConfig) -> None:
        self.credentials = config.credentials

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: SeenConnection
    ) -> None:
        wire = Wire(reader, writer, seen)
        try:
            if await self._greeted(wire):
                host, port = await self._asked_for(wire)
                seen.request("SOCKS5", f"{host}:{port}")
                if host == "refused.test":
                    await wire.send(b"\x05\x05\x00\x01" + bytes(6))
                    wire.close("server: refused the tunnel")
                    return
                await wire.send(b"\x05\x00\x00\x01" + bytes(6))
                await _join(wire, "127.0.0.1" if host.endswith("localhost") else host, port)
        except PEER_GONE:
            seen.end("client")

    async def _greeted(self, wire: Wire) -> bool:
        _, count = await wire.reader.readexactly(2)
        await wire.reader.readexactly(count)
        if self.credentials is None:
            await wire.send(b"\x05\x00")
            return True
        await wire.send(b"\x05\x02")
        _, length = await wire.reader.readexactly(2)
        user = (await wire.reader.readexactly(length)).decode()
        (length,) = await wire.reader.readexactly(1)
        password = (await wire.reader.readexactly(length)).decode()
        right = (user, password) == self.credentials
        await wire.send(b"\x01\x00" if right else b"\x01\x01")
        if not right:
            wire.close("server: wrong credentials")
        return right

    async def _asked_for(self, wire: Wire) -> tuple[str, int]:
        _, _, _, kind = await wire.reader.readexactly(4)
        if kind == 3:
            (length,) = await wire.reader.readexactly(1)
            host = (await wire.reader.readexactly(length)).decode()
        else:
            host = str(ipaddress.ip_address(await wire.reader.readexactly(4 if kind == 1 else 16)))
        (port,) = struct.unpack(">H", await wire.reader.readexactly(2))
        return host, port

"""What the truth server answers like an application: pages, events, ranges, tokens, WebSockets."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json

from tests.servers.wire import Request, Wire


def _argument(request: Request) -> str:
    """The second segment: ``/page/3/orders`` → ``3``."""
    return request.target.split("/")[2]


async def _json(wire: Wire, value: object, status: str = "200 OK", **headers: str) -> None:
    await wire.answer(status, json.dumps(value).encode(), Content_Type="application/json", **headers)


async def page(wire: Wire, request: Request) -> bool:
    """``/page/3/orders``: ten numbers, and the path of the next page if there is one."""
    await wire.read_body(request)
    left, rest = int(_argument(request)), "/".join(request.target.split("/")[3:])
    following = f"/page/{left - 1}/{rest}" if left else None
    seed = int(hashlib.sha256(request.target.encode()).hexdigest(), 16) % 900
    await _json(wire, {"items": list(range(seed, seed + 10)), "next": following})
    return True


async def token(wire: Wire, request: Request) -> bool:
    """``/token/3600``: a token that is valid for 3600 seconds."""
    await wire.read_body(request)
    await _json(wire, {"access_token": "secret-token", "expires_in": int(_argument(request))})
    return True


async def private(wire: Wire, request: Request) -> bool:
    """401 without a bearer token."""
    await wire.read_body(request)
    known = request.headers.get("authorization", "").startswith("Bearer ")
    if known:
        await wire.answer()
    else:
        await wire.answer("401 Unauthorized", b"who?")
    return True


async def healthz(wire: Wire, request: Request) -> bool:
    """Closes the connection if the request asks for it, as most servers do."""
    await wire.read_body(request)
    await (wire.answer(Connection="close") if request.asks_to_close else wire.answer())
    return True


async def upload(wire: Wire, request: Request) -> bool:
    await _json(wire, {"size": len(await wire.read_body(request))})
    return True


async def events(wire: Wire, request: Request) -> bool:
    """``/events/20/5/…``: 20 server-sent events, 5 milliseconds apart."""
    await wire.read_body(request)
    count, pause = (int(part) for part in request.target.split("/")[2:4])
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    await wire.send(head.encode())
    for number in range(count):
        event = f"data: {number}\n\n".encode()
        await wire.send(b"%x\r\n%s\r\n" % (len(event), event))
        await asyncio.sleep(pause / 1000)
    await wire.send(b"0\r\n\r\n")
    return True


async def part(wire: Wire, request: Request) -> bool:
    """``/part/400000``: 400,000 bytes: all of them, a range, or (HEAD) only their number."""
    await wire.read_body(request)
    size = int(_argument(request))
    if request.method == "HEAD":
        await wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nAccept-Ranges: bytes\r\n\r\n".encode())
    elif asked := request.headers.get("range"):
        start, end = (int(edge) for edge in asked.removeprefix("bytes=").split("-"))
        await wire.answer(
            "206 Partial Content", b"x" * (end - start + 1), Content_Range=f"bytes {start}-{end}/{size}"
        )
    else:
        await wire.answer(body=b"x" * size)
    return True


async def packed(wire: Wire, request: Request) -> bool:
    """Gzipped JSON."""
    await wire.read_body(request)
    body = gzip.compress(json.dumps({"items": list(range(100))}).encode())
    await wire.answer(body=body, Content_Type="application/json", Content_Encoding="gzip")
    return True


async def unchanged(wire: Wire, request: Request) -> bool:
    """An ETag, and 304 for a client that has it already."""
    await wire.read_body(request)
    if request.headers.get("if-none-match") == '"v1"':
        await wire.send(b'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\n\r\n')
    else:
        await wire.answer(ETag='"v1"')
    return True


async def ticker(wire: Wire, request: Request) -> bool:
    """``/ticker/10``: a WebSocket that sends ten numbers and closes properly."""
    key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    head = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    await wire.send(head.encode())
    for number in range(int(_argument(request))):
        text = str(number).encode()
        await wire.send(bytes([0x81, len(text)]) + text)
        await asyncio.sleep(0.002)
    await wire.send(bytes([0x88, 2]) + (1000).to_bytes(2, "big"))
    await wire.client_leaves()
    return False


APPLICATIONS = (page, token, private, healthz, upload, events, part, packed, unchanged, ticker)

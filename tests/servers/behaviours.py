"""How the HTTP/1.1 truth server answers, by the first segment of the path; the rest makes a path unique.

A behaviour gets the wire and the request (logged, its body unread), answers, and returns whether the
connection goes on. To add one: a function here and its name in `_ALL`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

from tests.servers.applications import APPLICATIONS
from tests.servers.gate import shut, until_let_go
from tests.servers.wire import Request, Wire

Behaviour = Callable[[Wire, Request], Awaitable[bool]]

_seen_before: set[str] = set()
_together: WeakValueDictionary[tuple[int, str], asyncio.Barrier] = WeakValueDictionary()


def _argument(request: Request) -> str:
    """The second segment: ``/slow/50/17`` → ``50``."""
    return request.target.split("/")[2]


async def fixed(wire: Wire, request: Request) -> bool:
    await wire.read_body(request)
    await wire.answer()
    return True


async def size(wire: Wire, request: Request) -> bool:
    """``/size/100000/…``: 100,000 bytes."""
    await wire.read_body(request)
    await wire.answer(body=b"x" * int(_argument(request)))
    return True


async def empty(wire: Wire, request: Request) -> bool:
    await wire.read_body(request)
    await wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    return True


async def chunked(wire: Wire, request: Request) -> bool:
    await wire.read_body(request)
    await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for part in (b"one", b"two and a half", b"three"):
        await wire.send(b"%x\r\n%s\r\n" % (len(part), part))
        await asyncio.sleep(0)
    await wire.send(b"0\r\n\r\n")
    return True


async def slow(wire: Wire, request: Request) -> bool:
    """``/slow/50/…``: answers after 50 milliseconds."""
    await wire.read_body(request)
    await asyncio.sleep(int(_argument(request)) / 1000)
    await wire.answer()
    return True


async def together(wire: Wire, request: Request) -> bool:
    """``/together/3/…``: answers once three requests of this path are there, and so on for the next three."""
    await wire.read_body(request)
    key = id(asyncio.get_running_loop()), request.target
    barrier = _together.setdefault(key, asyncio.Barrier(int(_argument(request))))
    await barrier.wait()
    await wire.answer()
    return True


async def held(wire: Wire, request: Request) -> bool:
    """Answers when the test lets it go."""
    shut(request.target)
    await wire.read_body(request)
    await until_let_go(request.target)
    await wire.answer()
    return True


async def redirect(wire: Wire, request: Request) -> bool:
    """``/redirect/chunked/7`` redirects to ``/chunked/7`` on the same host."""
    await wire.read_body(request)
    await wire.answer("302 Found", b"elsewhere", Location=request.target.removeprefix("/redirect"))
    return True


async def login(wire: Wire, request: Request) -> bool:
    """``/login/ann``: sets a cookie that names the user."""
    await wire.read_body(request)
    await wire.answer(Set_Cookie=f"user={_argument(request)}; Path=/")
    return True


async def close(wire: Wire, request: Request) -> bool:
    await wire.read_body(request)
    await wire.answer(Connection="close")
    return False


async def http10(wire: Wire, request: Request) -> bool:
    """An HTTP/1.0 answer that ends when the connection closes."""
    await wire.read_body(request)
    await wire.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold")
    return False


async def reset(wire: Wire, request: Request) -> bool:
    """A RST cuts the body off."""
    await wire.read_body(request)
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart")
    # The client may not have read the head when the RST comes, and a RST discards what it has not read.
    wire.reset("server: reset in the body")
    return False


async def cut(wire: Wire, request: Request) -> bool:
    """A FIN cuts the body off."""
    await wire.read_body(request)
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart")
    wire.close("server: closed in the body")
    return False


async def drop(wire: Wire, request: Request) -> bool:
    """Closes without an answer."""
    await wire.read_body(request)
    wire.close("server: closed without answer")
    return False


async def cutoff(wire: Wire, request: Request) -> bool:
    """``/cutoff/1200/…``: closes without an answer after 1200 milliseconds."""
    await wire.read_body(request)
    await asyncio.sleep(int(_argument(request)) / 1000)
    wire.close("server: closed without answer")
    return False


async def last(wire: Wire, request: Request) -> bool:
    """Promises keep-alive in its answer, and then closes: the stale connection."""
    await wire.read_body(request)
    await wire.answer()
    wire.close("server: closed while idle")
    return False


async def silence(wire: Wire, request: Request) -> bool:
    """Never answers."""
    await wire.client_leaves()
    return False


async def stall(wire: Wire, request: Request) -> bool:
    """Sends a head and a part of the body, then nothing more."""
    await wire.read_body(request)
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart")
    await wire.client_leaves()
    return False


async def garbage(wire: Wire, request: Request) -> bool:
    await wire.read_body(request)
    await wire.send(b"this is no HTTP at all\r\n\r\n")
    wire.close("server: closed after garbage")
    return False


async def digest(wire: Wire, request: Request) -> bool:
    """401 with a digest challenge until the request has any Authorization header."""
    await wire.read_body(request)
    if request.headers.get("authorization", "").startswith("Digest "):
        await wire.answer()
    else:
        challenge = 'Digest realm="truth", nonce="b1946ac92492d234", qop="auth", algorithm=MD5'
        await wire.answer("401 Unauthorized", b"who?", WWW_Authenticate=challenge)
    return True


async def flaky(wire: Wire, request: Request) -> bool:
    """503 the first time for this path, 200 from then on."""
    await wire.read_body(request)
    if request.target in _seen_before:
        await wire.answer()
    else:
        _seen_before.add(request.target)
        await wire.answer("503 Service Unavailable", b"later", Retry_After="0")
    return True


async def busy(wire: Wire, request: Request) -> bool:
    """503 every time."""
    await wire.read_body(request)
    await wire.answer("503 Service Unavailable", b"later")
    return True


async def early(wire: Wire, request: Request) -> bool:
    """Answers as soon as it has the head, before it reads the body."""
    await wire.answer("413 Content Too Large", b"too much", Connection="close")
    await wire.read_body(request)
    return False


async def switch(wire: Wire, request: Request) -> bool:
    """101, then echoes until the client leaves."""
    await wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
    while data := await wire.reader.read(65536):
        await wire.send(data)
    wire.seen.end("client")
    return False


async def hints(wire: Wire, request: Request) -> bool:
    """One 100, two 103, and then the answer."""
    await wire.read_body(request)
    await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    for _ in range(2):
        await wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")
    await wire.answer()
    return True


async def goon(wire: Wire, request: Request) -> bool:
    """100 before it reads the body."""
    await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    await wire.read_body(request)
    await wire.answer()
    return True


async def trailers(wire: Wire, request: Request) -> bool:
    """Trailer fields after the last chunk."""
    await wire.read_body(request)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Digest, X-Took\r\n\r\n"
    await wire.send(head + b"3\r\none\r\n0\r\nDigest: 9a\r\nX-Took: 1\r\n\r\n")
    return True


async def halfchunk(wire: Wire, request: Request) -> bool:
    """Cuts a chunk off."""
    await wire.read_body(request)
    await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\nff\r\ntw")
    wire.close("server: closed in the body")
    return False


async def nochunk(wire: Wire, request: Request) -> bool:
    """Garbage instead of a chunk's size."""
    await wire.read_body(request)
    await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\nno number\r\n")
    await wire.client_leaves()
    return False


async def halfhead(wire: Wire, request: Request) -> bool:
    """Cuts the head off."""
    await wire.read_body(request)
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    wire.close("server: closed in the head")
    return False


async def excess(wire: Wire, request: Request) -> bool:
    """More bytes than the answer's length, all at once."""
    await wire.read_body(request)
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and then some garbage\r\n\r\n")
    return True


async def afterthought(wire: Wire, request: Request) -> bool:
    """A keep-alive answer; when the test lets it go on, garbage, then the end."""
    shut(request.target)
    await wire.answer()
    await until_let_go(request.target)
    await wire.send(b"and another thing")
    wire.close("server: closed while idle")
    return False


async def unasked(wire: Wire, request: Request) -> bool:
    """Two answers to one request."""
    await wire.read_body(request)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    await wire.send(answer + b"ok" + answer + b"no")
    return True


_ALL: tuple[Behaviour, ...] = (
    *(hints, goon, trailers, halfchunk, nochunk, halfhead, excess, afterthought, unasked),
    *(fixed, size, empty, chunked, slow, held, together, redirect, login, digest, flaky, busy, early, switch),
    *(close, http10, reset, cut, cutoff, drop, last, silence, stall, garbage),
    *APPLICATIONS,
)
BEHAVIOURS: dict[str, Behaviour] = {behaviour.__name__: behaviour for behaviour in _ALL}

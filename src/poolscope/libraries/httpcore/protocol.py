"""Hooks on a connection: a request really has it, and is sent.

The pool may hand one idle connection to several requests; the request that sends its headers has it. On HTTP/2
that is where a stream gets its id, which is also its place in wire order.
"""

from __future__ import annotations

from typing import Any

from poolscope.facts import Exchange
from poolscope.libraries.httpcore import names
from poolscope.libraries.httpcore.adopt import found
from poolscope.libraries.httpcore.marks import Wire
from poolscope.story import exchange as story
from poolscope.story.exchange import CURRENT


def gets(protocol: Any, request: Any, stream_id: int | None) -> None:
    """The current request is about to send its headers on ``protocol``."""
    exchange = CURRENT.get()
    if exchange is None:
        return
    wire: Wire | None = exchange._mark
    if wire is None:
        return
    known = wire.protocol
    if (known is None or known() is not protocol) and not _meets(protocol, wire, exchange, request):
        return
    sheet = wire.sheet
    assert sheet is not None
    opened_at, assigned_at = sheet.opened_at, exchange.assigned_at
    joined = opened_at is not None and assigned_at is not None and assigned_at < opened_at
    wire.taken(exchange, joined and sheet.opened_by != exchange.id)
    if stream_id is None:
        wire.counted(exchange)
    else:
        exchange.stream_id = stream_id
        story.has_stream(exchange)
        wire.counted(exchange, (stream_id + 1) // 2)


def asks_for_stream(semaphore: Any) -> None:
    """The current request asks its HTTP/2 connection for a stream; the library calls it for other reasons too."""
    exchange = CURRENT.get()
    if exchange is not None and exchange.stream_id is None and names.is_taken(semaphore):
        story.asks_for_stream(exchange)


def _meets(protocol: Any, wire: Wire, exchange: Exchange, request: Any) -> bool:
    """Whether ``protocol`` speaks HTTP on ``wire``: a CONNECT belongs to the setup."""
    setup = wire.setup
    if setup is not None:
        if wire.via == "tunnel" and request.method == b"CONNECT":
            return False
        if setup.phase == "proxy_tunnel" and not wire.is_set_up():
            wire.ends_phase(setup)
        wire.is_usable()
        wire.is_met(protocol)
    elif wire.sheet is not None:
        wire.is_met(protocol)
    elif exchange.silent or not wire.pool.era.goes_on:  # its pool has not been seen since the request asked
        return False
    else:
        sheet = found(wire, protocol)
        if names.is_new(protocol):
            sheet.opened_by, wire.numbered = exchange.id, True
    return True


def sent() -> None:
    """The current request has sent its body, which may be none, after its headers."""
    exchange = CURRENT.get()
    if exchange is not None and exchange.connection is not None:
        story.sent(exchange)


def unsent(protocol: Any, error: BaseException) -> None:
    """Sending raised; the library may go on and read an answer all the same."""
    exchange = CURRENT.get()
    wire: Wire | None = None if exchange is None else exchange._mark
    if exchange is None or wire is None or wire.sheet is None:
        return
    if wire.protocol is None or wire.protocol() is not protocol:
        return
    if exchange.stream_id is None:
        wire.sheet.error = names.class_of(error).__name__
    elif type(error).__module__.partition(".")[0] == "h2" and exchange.connection is not None:
        # h2 itself refused: nothing was sent, and the id may belong to another stream.
        exchange.connection.requests -= 1
        story.unserved(exchange)

"""aiohttp: what happens on a connection: a request is sent and answered, and the connection ends.

An answer's body is over when its last byte has arrived, whether the program has read it by then or not.
"""

from __future__ import annotations

from types import FrameType
from typing import Any, Final

from poolscope.facts import Connection, now
from poolscope.libraries import keepalive
from poolscope.libraries.aiohttp import state
from poolscope.libraries.aiohttp.setup import tunnels
from poolscope.libraries.aiohttp.state import Held, held_by
from poolscope.libraries.point import Point
from poolscope.story import exchange as story
from poolscope.story.connection import ConnectionMark

VERSIONS: Final = {(1, 0): "1.0", (1, 1): "1.1"}


def sending(request: Any, conn: Any) -> Held | None:
    """A request is about to be written; CONNECT belongs to the setup."""
    held = held_by(conn.protocol)
    if held is None:
        tunnels(request)
        return None
    exchange, sheet = held.exchange, held.mark.sheet
    if exchange is None or sheet is None:
        return None
    held.mark.counted(exchange)
    sheet.request_closes = (
        request.headers.get("Connection", "").lower() == "close" or conn._connector._force_close
    )
    return held


def handed_over(request: Any, token: Held) -> None:
    """Its head is on the wire; where there is a body, a task writes it."""
    if not token.writing and getattr(request, "_writer", None) is None:
        _sent(token)


def writes(_request: Any, conn: Any) -> Held | None:
    """Its body is about to be written."""
    held = held_by(conn.protocol)
    if held is not None:
        held.writing = True
    return held


def written(_request: Any, conn: Any, token: Held) -> None:
    """It was, unless the connection has an error now, which is how aiohttp passes one on."""
    if conn.protocol is not None and conn.protocol.exception() is None:
        _sent(token)


def cut_short(token: Held, error: BaseException) -> None:
    """It was not written to its end, because the answer came first or the call was given up."""
    state.note_error(token.mark.sheet, error)


def _sent(held: Held) -> None:
    exchange = held.exchange
    if exchange is not None and exchange.headers_at is None:
        story.sent(exchange)


def unsent(token: Held, error: BaseException) -> None:
    """Sending raised."""
    _fails(token, error)


def answered(protocol: Any, result: Any) -> None:
    """The headers of an answer are there, or of an interim one."""
    held = held_by(protocol)
    exchange = None if held is None else held.exchange
    if held is None or exchange is None:
        return
    message, held.payload = result
    if 100 <= message.code < 200 and message.code != 101:
        return
    story.headers(
        exchange,
        message.code,
        message,
        http_version=VERSIONS.get(tuple(message.version)),
        answer_closes=bool(message.should_close),
    )
    sheet = exchange.connection
    if sheet is not None and sheet.requests == 1:
        sheet.server_keepalive = keepalive.timeout_of(message.headers.get("Keep-Alive"))


def unanswered(protocol: Any, error: BaseException) -> None:
    """There will be none."""
    held = held_by(protocol)
    if held is not None:
        _fails(held, error)


def _fails(held: Held, error: BaseException) -> None:
    exchange = held.exchange
    if exchange is None or exchange.headers_at is not None:
        return
    error = state.timed(held.timer, error)
    held.payload = held.timer = None
    state.note_error(held.mark.sheet, error)
    story.failed(exchange, error, state.class_name(error))


# The end

Closing = tuple[ConnectionMark, Connection, float]


def closing(protocol: Any, frame: FrameType) -> Closing | None:
    """A connection is closed from this side; who called it?"""
    held = held_by(protocol)
    if held is None or held.mark.sheet is None or protocol.transport is None:
        return None
    at = now()
    sheet = held.mark.closing(_trigger(held, protocol, frame, at), at)
    return None if sheet is None else (held.mark, sheet, at)


def _trigger(held: Held, protocol: Any, frame: FrameType, at: float) -> str:
    if not str(frame.f_globals.get("__name__")).startswith("aiohttp."):
        return "program"
    if state.is_collected(frame):
        return "gc"
    name = frame.f_code.co_name
    if name in ("_close", "connect"):
        return "client"
    if name in ("_get", "_cleanup"):
        return "maintenance" if protocol.is_connected() else _left_idle(held.mark.sheet, at)
    newest = held.mark.exchange
    return "response" if newest is None or newest.error is None else "exchange"


def _left_idle(sheet: Connection | None, at: float) -> str:
    """Who ends an idle connection that the server has closed; the newest request may have asked for that."""
    if sheet is None or sheet.request_closes:
        return "exchange"
    sheet.readable_at = at
    return "checkout"


def closed(token: Closing) -> None:
    """It is closing: the loop does the rest."""
    mark, sheet, began_at = token
    mark.closed(sheet, now() - began_at)


def losing(protocol: Any, exc: BaseException | None) -> None:
    """A connection is lost; where aiohttp has not closed it, the other side or the network did."""
    held = held_by(protocol)
    if held is None or held.mark.sheet is None or protocol.transport is None:
        return
    mark, sheet, exchange, at = held.mark, held.mark.sheet, held.exchange, now()
    trigger = "exchange"
    if exchange is None or _has_whole_answer(protocol):
        trigger = _left_idle(sheet, at)
    elif exchange.status != 101:
        error = protocol.exception() or exc
        if error is None:
            sheet.eof = True
        else:
            state.note_error(sheet, error)
    ending = mark.closing(trigger, at)
    if ending is not None:
        mark.closed(ending, None)


def _has_whole_answer(protocol: Any) -> bool:
    """Whether all of an answer has arrived that the request's task has not seen yet."""
    for (message, payload), _ in protocol._buffer:
        if message.code >= 200:
            return bool(payload.is_eof()) and not message.should_close
    return False


_HANDLER: Final = "client_proto.ResponseHandler"
_REQUEST: Final = "client_reqrep.ClientRequest"

PROTOCOL: Final = (
    Point(_REQUEST, "send", before=sending, after=handed_over, failed=unsent, takes=("conn",)),
    Point(_REQUEST, "write_bytes", before=writes, after=written, failed=cut_short, takes=("writer", "conn")),
    Point(_HANDLER, "read", after=answered, failed=unanswered),
    Point(_HANDLER, "close", before=closing, always=closed),
    Point(_HANDLER, "abort", before=closing, always=closed, missing_ok=True),
    Point(_HANDLER, "eof_received", before=losing),
    Point(_HANDLER, "connection_lost", before=losing, takes=("exc",)),
)

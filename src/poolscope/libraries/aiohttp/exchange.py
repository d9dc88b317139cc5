"""aiohttp: a request asks its connector, gets a connection, is sent and answered; and how connections end.

An answer's body is over when its last byte has arrived, even if the program has not read it yet.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from poolscope.facts import DEFAULT_PORTS, CloseTrigger, Connection, Exchange, Pool, now
from poolscope.libraries import acquire, callsite, keepalive
from poolscope.libraries.aiohttp import connection as at
from poolscope.libraries.errors import class_name, handled_in, name_on_the_wire
from poolscope.libraries.guard import guard
from poolscope.libraries.marks import in_sight, watched
from poolscope.libraries.point import Point
from poolscope.libraries.unread import who_ended
from poolscope.story import exchange as story
from poolscope.story.call import CURRENT_CALL
from poolscope.story.client import ClientFacts
from poolscope.story.door import ENTRANCE
from poolscope.story.pool import PoolMark

# It asks


def _describe(connector: Any, sheet: Pool) -> None:
    expiry = connector._keepalive_timeout
    sheet.blocking, sheet.max_connections, sheet.keepalive_expiry = True, connector._limit or None, expiry


def asks(connector: Any, req: Any, frames: Callable[[int], FrameType]) -> Exchange | None:
    """A request asks its connector for a connection."""
    pool, call = in_sight(connector, PoolMark), CURRENT_CALL.get()
    if pool is None or not hasattr(type(req), "connection_key"):  # a mock, of which any attribute may raise
        return None
    url = req.url
    scheme, port = url.scheme, url.explicit_port
    origin = scheme, url.raw_host or "", None if port == DEFAULT_PORTS.get(scheme) else port
    describe, target = (lambda sheet: _describe(connector, sheet)), url.raw_path_qs
    exchange = acquire.begins(pool, describe, origin, req.method, target, frames, asynchronous=True)
    if not exchange.silent:
        exchange.queued = _has_to_wait(connector, req)
        if call is not None and call.young is not None:
            _identify(call.young, connector, req)
        if ENTRANCE.door is not None:
            req.headers.update(story.announce(exchange, req))
    return exchange


def _has_to_wait(connector: Any, req: Any) -> bool:
    if hasattr(connector, "_wait_for_available_connection"):
        return False  # from 3.11 on a separate method does it, and its hook reports it
    key = req.connection_key
    return connector._available_connections(key) <= 0 or key in connector._waiters


_SETTINGS: Final = ("_ssl", "_family", "_local_addr_infos", "_path", "_force_close", "_socket_factory")


@guard("aiohttp.identity")
def _identify(client: ClientFacts, connector: Any, req: Any) -> None:
    resolver = getattr(connector, "_resolver", None)
    if getattr(connector, "_resolver_owner", False) or type(resolver).__name__ == "ThreadedResolver":
        resolver = None  # aiohttp makes it
    proxy = str(req.proxy), str(req.proxy_auth), str(req.proxy_headers)
    own = [type(connector).__qualname__, *(getattr(connector, name, None) for name in _SETTINGS)]
    client.identity.is_set_up("connector", own, resolver, proxy, req.ssl, req.server_hostname)
    body = getattr(req.body, "_value", req.body)
    client.sends(req.headers.items(), req.url.raw_path_qs, body)


def waits() -> None:
    """There is no connection for it now."""
    exchange = at.ASKING.get()
    if exchange is not None:
        exchange.queued = True


def got(connector: Any, token: Exchange, result: Any, req: Any) -> None:
    """It has its connection; next its head is written."""
    state = watched(result.protocol) or _found(connector, result.protocol, token)
    if token._mark is not state.mark:
        story.assigned(token, state.mark)
    state.mark.taken(token)
    state.payload, state.timer = None, req._timer


def _found(connector: Any, protocol: Any, exchange: Exchange) -> at.State:
    """The state of a connection that was already open."""
    state = at.State(exchange._pool.era)
    if not exchange.silent:
        sheet = state.mark.found_open(exchange.origin, "direct", exchange._pool.sheet)
        sheet.keepalive_expiry = connector._keepalive_timeout
    at.carries(protocol, state)
    return state


def failed(token: Exchange, error: BaseException, req: Any) -> None:
    """There is no connection for it."""
    error, mark = at.timed(req._timer, error), token._mark
    what = at.seen(error)
    if mark is None:
        story.waited(token, now())
        what = what._replace(kind="pool") if what.kind == "timeout" else what
    elif mark.setup is not None:
        mark.setup_failed(name_on_the_wire(error, "aiohttp"), what)
    story.failed(token, error, class_name(error), what=what)


# It is sent


def sending(request: Any, conn: Any) -> at.State | None:
    """A request is about to be written; CONNECT belongs to the setup."""
    state: at.State | None = watched(conn.protocol)
    setup = at.under_way()
    if state is None and setup is not None and request.method == "CONNECT":
        setup.enters("proxy_tunnel")
    if state is None or (exchange := state.exchange) is None or state.mark.sheet is None:
        return None
    state.mark.counted(exchange)
    asked = request.headers.get("Connection", "").lower() == "close"
    state.mark.sheet.request_closes = asked or conn._connector._force_close
    return state


def handed_over(request: Any, conn: Any, token: at.State) -> None:
    """Its head is on the wire; where there is a body, a task writes it."""
    if not request.body:
        written(request, conn, token)


def writes(_request: Any, conn: Any) -> Any:
    """Its body is about to be written."""
    return watched(conn.protocol)


def written(_request: Any, conn: Any, token: at.State) -> None:
    """Its body was written, unless the connection has an error now: aiohttp passes errors on that way."""
    failed = conn.protocol is None or conn.protocol.exception() is not None
    if not failed and (exchange := token.exchange) is not None and exchange.headers_at is None:
        story.sent(exchange)


# It is answered


def answered(token: at.State, result: Any) -> None:
    """The headers of an answer, or of an interim answer, are there."""
    (message, token.payload), exchange = result, token.exchange
    if exchange is None or (100 <= message.code < 200 and message.code != 101):
        return
    version = "1.1" if message.version == (1, 1) else "{}.{}".format(*message.version)
    story.headers(exchange, message.code, message, version, bool(message.should_close))
    sheet = exchange.connection
    if sheet is not None and sheet.requests == 1:
        sheet.server_keepalive, sheet.first_length = keepalive.in_headers(message.raw_headers)


def unsent(token: at.State, error: BaseException) -> None:
    """Sending, or waiting for the answer, raised."""
    exchange = token.exchange
    if exchange is not None and exchange.headers_at is None:
        at.note_error(token, error := at.timed(token.timer, error))
        story.failed(exchange, error, class_name(error), what=at.seen(error))


def releasing(_connector: Any, protocol: Any, frame: FrameType) -> None:
    """A connection is given back, its answer read or not: everything is noted before its next owner gets it."""
    state = watched(protocol)
    exchange: Exchange | None = None if state is None else state.exchange
    if state is None or exchange is None or exchange.headers_at is None:
        return  # a failure before the headers is reported by the hook of the method that raises
    complete, payload = state.was_read(), state.payload
    state.payload = state.timer = None
    error = _raised_in(payload) if complete is False else None
    if complete is False and callsite.is_finalizer(frame):
        story.dropped(exchange, complete)
    elif error is None:
        story.ended(exchange, complete)
    else:
        at.note_error(state, error)
        story.ended(exchange, complete, class_name(error), what=at.seen(error))


def _raised_in(payload: Any) -> BaseException | None:
    """The error that aiohttp gave the reader of ``payload``, or the error that ended the reading."""
    known: BaseException | None = payload.exception()
    # A release gives a late reader a ClientConnectionError.
    return handled_in(payload) if type(known).__name__ in ("NoneType", "ClientConnectionError") else known


# Its connection ends


def closing(protocol: Any, frame: FrameType) -> tuple[at.State, Connection] | None:
    """A connection is closed from this side; who called it?"""
    state = watched(protocol)
    if state is None or state.mark.sheet is None or protocol.transport is None:
        return None
    caller = callsite.past_wrappers(frame, protocol, "close", "abort")
    sheet = state.mark.closing(_trigger(state, state.mark.sheet, protocol, caller))
    return None if sheet is None else (state, sheet)


def _trigger(state: at.State, sheet: Connection, protocol: Any, frame: FrameType) -> CloseTrigger:
    if not str(frame.f_globals.get("__name__")).startswith("aiohttp."):
        return "program"
    if callsite.is_finalizer(frame):
        return "gc"
    if frame.f_code.co_name in ("_close", "connect"):
        return "client"
    if frame.f_code.co_name in ("_get", "_cleanup"):
        return "maintenance" if protocol.is_connected() else _left_idle(sheet, protocol)
    after: CloseTrigger = "excess" if protocol._buffer or protocol._tail else "response"
    return after if state.mark.exchange is None or state.mark.exchange.error is None else "exchange"


def _left_idle(sheet: Connection, protocol: Any) -> CloseTrigger:
    """The close trigger of an idle connection that the server closed; the newest request may have asked for that."""
    if sheet.request_closes:
        return "exchange"
    sheet.readable_at = now()
    # aiohttp itself closes a connection on which something came that it cannot read.
    return "checkout" if protocol.exception() else who_ended(sheet, protocol.transport, "checkout")


def closed(token: tuple[at.State, Connection]) -> None:
    """The close has begun; the event loop does the rest."""
    token[0].mark.closed(token[1], now() - (token[1].closed_at or 0.0))


def losing(protocol: Any, exc: BaseException | None) -> None:
    """A connection is lost; if neither aiohttp nor the program closed it, the other side or the network did."""
    state = watched(protocol)
    if state is None or state.mark.sheet is None or protocol.transport is None:
        return
    sheet, exchange, trigger = state.mark.sheet, state.exchange, "exchange"
    if exchange is None or _has_whole_answer(protocol):
        trigger = _left_idle(sheet, protocol)
    elif (error := protocol.exception() or exc) is not None:
        at.note_error(state, error)
    else:
        sheet.eof, trigger = True, who_ended(sheet, protocol.transport, "exchange")
    if state.mark.closing(trigger) is not None:
        state.mark.closed(sheet, None)


def _has_whole_answer(protocol: Any) -> bool:
    """Whether a whole answer has arrived that the request's task has not seen yet."""
    answers = [answer for answer, _ in protocol._buffer if answer[0].code >= 200]
    return bool(answers) and answers[0][1].is_eof() and not answers[0][0].should_close


_BASE: Final = "connector.BaseConnector"
_HANDLER: Final = "client_proto.ResponseHandler"
_REQ: Final = "client_reqrep.ClientRequest"
_ASK: Final = Point(_BASE, "connect", before=asks, after=got, failed=failed, var=at.ASKING, takes=("req",))

CONNECTORS: Final = (_ASK, at.create(_BASE))
"""The hook points of a program's own connector classes."""

EXCHANGE: Final = (
    _ASK,
    Point(_BASE, "_wait_for_available_connection", before=waits, missing_ok=True),
    Point(_BASE, "_release", before=releasing, takes=("key", "protocol")),
    Point(_REQ, "send", before=sending, after=handed_over, failed=unsent, takes=("conn",)),
    Point(_REQ, "write_bytes", before=writes, after=written, failed=at.note_error, takes=("writer", "conn")),
    Point(_HANDLER, "read", before=watched, after=answered, failed=unsent),
    Point(_HANDLER, "close", before=closing, always=closed),
    Point(_HANDLER, "abort", before=closing, always=closed, missing_ok=True),
    Point(_HANDLER, "eof_received", before=losing),
    Point(_HANDLER, "connection_lost", before=losing, takes=("exc",)),
)

"""urllib3: requests and answers on a connection."""

from __future__ import annotations

from types import FrameType
from typing import Any, Final

from poolscope.facts import Connection, Exchange, now
from poolscope.libraries import callsite
from poolscope.libraries.marks import mark_on
from poolscope.libraries.point import Point
from poolscope.libraries.urllib3.close import closed, closing, shuts
from poolscope.libraries.urllib3.errors import note_error
from poolscope.libraries.urllib3.setup import describe_socket, place_of
from poolscope.libraries.urllib3.state import (
    CURRENT,
    State,
    announced,
    answered,
    exchange_on,
    fail,
    given_to,
    gone,
    state_of,
)
from poolscope.queue import FACTS
from poolscope.story import exchange as exchanges
from poolscope.story.runtime import current_task
from poolscope.story.suppression import suppressed

# _make_request ignores these: the server may have answered before it stopped reading.
_SWALLOWED: Final = (BrokenPipeError, ConnectionResetError)


def request_begins(connection: Any, method: Any, url: Any, headers: Any, frame: FrameType) -> State | None:
    """A request is about to be sent."""
    state: State | None = mark_on(connection)
    if state is not None and state.ready:
        state.ready = False
        return state
    state = given_to(connection)
    if state is None:
        return None
    mark = state.mark
    before = mark.exchange
    if before is not None and before.finished_at is None and state.answer is not None:
        _next_without_pool(state, before)
    exchange = exchange_on(mark)
    if exchange is None:
        state.fresh = connection.sock is None
        exchange = mark.exchange = _asks_without_pool(connection, method, url, frame)
        state.instead = announced(exchange, {} if headers is None else headers)
    if mark.sheet is None and connection.sock is not None:
        _found_open(connection, state, exchange)
    if mark.sheet is not None and exchange._mark is None:
        mark.taken(exchange)
    return state


def _next_without_pool(state: State, before: Exchange) -> None:
    at = now()
    exchanges.ended(before, True if state.answer.isclosed() else None, at=at)
    state.answer = None
    if state.ending_since is not None:
        gone(state, "response", at)


def _asks_without_pool(connection: Any, method: Any, url: Any, frame: FrameType) -> Exchange:
    """A connection is used without a pool."""
    origin = ("https" if connection.default_port == 443 else "http", connection.host, connection.port)
    if suppressed():
        return exchanges.follow_silently(origin, method, url)
    exchange = exchanges.asks(origin, method, url, call=None, client=None, pool=None, task=current_task())
    exchange.call_site = callsite.user(frame)
    exchange.pool_wait = 0.0
    return exchange


def _found_open(connection: Any, state: State, exchange: Exchange) -> None:
    """Give a sheet to a socket that was opened unseen: before, or by a ``connect`` other than urllib3's."""
    mark = state.mark
    origin, via = place_of(connection)
    if exchange.silent:
        mark.sheet, mark.silent = Connection(origin, FACTS.epoch), True
        return
    sheet = mark.found_open(origin, via, None)
    sheet.client, sheet.pool = exchange.client, exchange.pool
    if state.fresh:
        sheet.opened_by = exchange.id
        mark.numbered = True
    describe_socket(sheet, connection.sock)


def request_sent(connection: Any, token: State, headers: Any) -> None:
    """It is on its way."""
    exchange = _counted(connection, token, headers)
    if exchange is not None:
        exchange.sent_at = now()


def _counted(connection: Any, state: State, headers: Any) -> Exchange | None:
    """Number the request, on a connection that may just have been opened for it."""
    mark = state.mark
    exchange = mark.exchange
    if exchange is not None:
        if mark.sheet is None and connection.sock is not None:
            _found_open(connection, state, exchange)
            mark.taken(exchange)
        state.headers = headers
        mark.counted(exchange)
    return exchange


def request_failed(connection: Any, token: State, headers: Any, error: BaseException) -> None:
    """It could not be sent, or not completely."""
    exchange = token.mark.exchange
    if _was_sent(connection):
        _counted(connection, token, headers)
    sheet = token.mark.sheet if exchange is None or exchange.connection is None else exchange.connection
    if sheet is not None:
        note_error(sheet, error)
        if not isinstance(error, _SWALLOWED):
            fail(exchange, error)


def _was_sent(connection: Any) -> bool:
    """Whether the head of a request was handed to the socket before sending failed."""
    return getattr(connection, "_HTTPConnection__state", None) not in ("Idle", "Request-started")


def answer_came(connection: Any, result: Any) -> None:
    """There is an answer."""
    state: State | None = mark_on(connection)
    exchange = None if state is None or not state.era.goes_on else state.mark.exchange
    if state is None or exchange is None or exchange.finished_at is not None:
        return
    answer = getattr(result, "_original_response", None) or result
    if exchange.headers_at is None:
        answered(exchange, answer)
    state.answer = answer
    if state.pool is None and answer.isclosed():
        at = now()
        exchanges.ended(exchange, True, at=at)
        if state.ending_since is not None:
            gone(state, "response", at)


def no_answer(connection: Any, error: BaseException) -> None:
    """There is none."""
    state = state_of(connection)
    if state is None:
        return
    mark = state.mark
    if mark.sheet is not None:
        note_error(mark.sheet, error)
    fail(mark.exchange, error)
    if state.ending_since is not None:
        gone(state, "exchange", now())


def headers_before_body(response: Any) -> None:
    """Runs between headers and body, which may be read while the response object is still being created."""
    exchange = CURRENT.get()
    answer = response._original_response
    if exchange is not None and answer is not None and exchange.headers_at is None:
        answered(exchange, answer)


_HTTP: Final = "connection.HTTPConnection"


def _sending(method: str) -> Point:
    return Point(
        _HTTP,
        method,
        before=request_begins,
        after=request_sent,
        failed=request_failed,
        takes=("method", "url", "body", "headers"),
        rewrites="headers",
    )


CONNECTION: Final = (
    _sending("request"),
    Point(_HTTP, "getresponse", after=answer_came, failed=no_answer),
    Point(_HTTP, "close", before=closing, always=closed),
    Point("response.HTTPResponse", "_init_length", before=headers_before_body),
    Point("response.HTTPResponse", "shutdown", before=shuts, missing_ok=True),
)
CHUNKS: Final = _sending("request_chunked")
"""1.26 sends them itself; 2.x calls ``request`` and warns at its caller, which must not be a frame of poolscope."""

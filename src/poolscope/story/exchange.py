"""What an exchange goes through: it asks, is assigned a connection, is sent, has headers, and is over.

    asks ──► assigned ──► sent ──► headers ──► ended (or dropped: nobody closed it)
      ▲          │
      └── lost ◄─┘        The connection went to another request, or was gone.

    failed              From anywhere: an exception ends it.

A connection that is assigned may be ready or still to be set up (`connection.py`). On HTTP/2 an exchange may then wait
for a stream, from `asks_for_stream` to `has_stream`. Once it really has the connection, `ConnectionMark.taken` notes
that on its sheet.

The functions are called in the exchange's own task, except `ended` and `dropped`, which may also run when another
thread closes a response or the garbage collector takes it: they queue one fact, take no lock and call no door.
From `asks` to its end an exchange is in `LIVE`, and in `_peers`, the exchanges in flight from the same line: the
function that takes it out of these ends it, so only one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, Final

from poolscope.facts import ENDED, Exchange, RawOrigin, now
from poolscope.genuine import get_ident
from poolscope.queue import FACTS
from poolscope.story import failures
from poolscope.story.call import Call
from poolscope.story.connection import ConnectionMark
from poolscope.story.door import ENTRANCE
from poolscope.story.live import LIVE
from poolscope.story.served import SERVED

CURRENT: Final[ContextVar[Exchange | None]] = ContextVar("poolscope_exchange", default=None)
"""The exchange that is being sent in this context."""


def follow_silently(origin: RawOrigin, method: Any, target: Any) -> Exchange:
    """A suppressed exchange: it keeps its connection's numbers right, and is never reported."""
    exchange = Exchange(origin, FACTS.epoch, now(), method, target)
    exchange.silent = True
    exchange._peers[exchange.id] = None
    return exchange


def asks(
    origin: RawOrigin,
    method: Any,
    target: Any,
    call: Call | None,
    client: int | None,
    pool: int | None,
    task: str | None = None,
) -> Exchange:
    """A request asks its pool for a connection, as part of ``call`` or else for ``client``."""
    FACTS.relieve()
    exchange = Exchange(origin, FACTS.epoch, now(), method, target)
    exchange.thread = get_ident()
    exchange.task = task
    exchange.pool = pool
    if call is None:
        exchange.client = client
    else:
        call.follow(exchange)
    served = SERVED.get()
    if served is not None:
        served.sends(exchange)
    LIVE.begins(exchange)
    return exchange


def announce(exchange: Exchange, request: Any) -> Sequence[tuple[str, str]]:
    """Let the live door see ``request`` before it goes out; the headers it wants added."""
    if ENTRANCE.door is None or exchange.silent:
        return ()
    return ENTRANCE.tell("request_started", exchange, request) or ()


def assigned(exchange: Exchange, mark: ConnectionMark | None = None) -> None:
    """The pool handed it a connection, ready or to be set up, which it may still lose."""
    exchange._mark = mark
    exchange.assigned_at = now()
    if exchange.queued or exchange.failed_attempts:
        waited(exchange, exchange.assigned_at)
    else:
        exchange.pool_wait = 0.0


def lost(exchange: Exchange) -> None:
    """The connection went to another request, or was gone: back to the pool."""
    unserved(exchange)
    exchange._mark = None
    exchange.failed_attempts += 1


def unserved(exchange: Exchange) -> None:
    """The connection did not serve it: nothing of it was sent there."""
    mark, connection = exchange._mark, exchange.connection
    if mark is not None:
        mark.given_back(exchange, None)
    if connection is not None:
        connection.unsettled.discard(exchange.id)
    exchange.connection = exchange.request_number = exchange.stream_id = exchange.sent_at = None
    exchange.reused = exchange.joined = exchange.idle_time = None


def waited(exchange: Exchange, until: float) -> None:
    """Its wait for the pool is over: 0 if it neither queued nor lost a connection."""
    if exchange.queued or exchange.failed_attempts:
        exchange.pool_wait = until - exchange.started_at
    else:
        exchange.pool_wait = 0.0


def asks_for_stream(exchange: Exchange) -> None:
    """Its HTTP/2 connection serves as many requests as it may: it waits for a stream."""
    exchange.queued = True
    exchange.stream_asked_at = now()


def has_stream(exchange: Exchange) -> None:
    """Its wait for a stream is over, if there was one: it has a stream, or gives up."""
    asked_at, exchange.stream_asked_at = exchange.stream_asked_at, None
    if asked_at is not None:
        took = now() - asked_at
        exchange.stream_wait = (exchange.stream_wait or 0.0) + took
        exchange.pool_wait = (exchange.pool_wait or 0.0) + took


def sent(exchange: Exchange) -> None:
    """The last byte of its request was written."""
    exchange.sent_at = now()


def headers(
    exchange: Exchange,
    status: int,
    response: Any,
    http_version: str | None = None,
    answer_closes: bool | None = None,
) -> None:
    """The headers of its answer are there; ``response`` is the library's own."""
    exchange.headers_at = now()
    exchange.status = status
    exchange.instead = None
    connection = exchange.connection
    if connection is None and exchange._mark is not None:  # a suppressed one, on a connection that is not
        connection = exchange._mark.sheet
    if connection is not None:
        connection.last_status = status
        if http_version is not None:
            connection.http_version = http_version
        if http_version != "2":
            connection.answer_closes = answer_closes
            connection.error = None  # a broken pipe while sending, which did not keep the answer from coming
    if ENTRANCE.door is not None and not exchange.silent:
        ENTRANCE.tell("headers_received", exchange, response)


def failed(
    exchange: Exchange,
    error: BaseException,
    name: str,
    complete: bool | None = None,
    what: failures.Seen | None = None,
) -> bool:
    """It ends by ``error`` of the class ``name``; called in its own task, never by a close or a finalizer."""
    unanswered = exchange.headers_at is None
    if exchange.queued and exchange.connection is None and exchange.connecting is None:
        LIVE.look_for_holders(exchange, now())
    if not ended(exchange, complete, name, what=what or failures.seen(error)):
        return False
    if unanswered and ENTRANCE.door is not None and not exchange.silent:
        ENTRANCE.tell("request_failed", exchange, error)
    return True


def ended(
    exchange: Exchange,
    complete: bool | None,
    error: str | None = None,
    at: float | None = None,
    what: failures.Seen | None = None,
) -> bool:
    """Its answer was read or closed, or there is none; False if it was already over."""
    if exchange._peers.pop(exchange.id, exchange) is exchange:  # its value is None, and two may come at once
        return False
    exchange.finished_at = now() if at is None else at
    exchange.body_complete = complete
    exchange.error = error
    if error is None:
        exchange.failure = None
    else:
        failures.ends(exchange, error, what)
    mark, exchange._mark = exchange._mark, None
    if mark is not None:
        mark.given_back(exchange, complete)
    _over(exchange)
    return True


def dropped(exchange: Exchange, complete: bool | None) -> None:
    """Its answer and its connection, which was never given back, were left to the garbage collector."""
    if exchange._peers.pop(exchange.id, exchange) is not exchange:
        exchange.finished_at = now()
        exchange.body_complete = complete
        exchange._mark = None
        _over(exchange)


def _over(exchange: Exchange) -> None:
    exchange.instead = exchange.connecting = None
    if not exchange.silent and exchange.epoch == FACTS.epoch:
        FACTS.put(ENDED, exchange)
        LIVE.exchanges.pop(exchange.id, None)  # only after it is queued, so that no snapshot misses it

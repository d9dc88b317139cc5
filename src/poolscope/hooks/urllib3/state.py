"""What we remember of urllib3's pools and connections, and the moments of an exchange on them.

Between ``_get_conn`` and ``_put_conn`` one thread owns a connection, so its state needs no lock; after
``_put_conn`` the next owner may already be running, so everything is written before. Nothing here refers
to a connection, pool or response object, except an attempt under way to the answer it is reading.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from poolscope.facts import BEGUN, ENDED, Connection, Exchange, Pool, RawOrigin, now
from poolscope.hooks.calls import Call
from poolscope.hooks.clients import ClientFacts, in_sight
from poolscope.hooks.guarding import guard
from poolscope.hooks.live import LIVE
from poolscope.hooks.urllib3.errors import class_name, note_error
from poolscope.libraries.marks import set_mark
from poolscope.queue import FACTS
from poolscope.story.runtime import current_task

CURRENT_ATTEMPT: ContextVar[Any] = ContextVar("poolscope_urllib3_attempt", default=None)
"""The `Attempt` whose ``urlopen`` we are in, or None."""

VERSIONS: Final = {9: "0.9", 10: "1.0", 11: "1.1", 20: "2"}


class PoolState:
    """Shared by a pool and its connections: it outlives the pool, so that the reason of a late close is known."""

    __slots__ = ("client", "ending", "era", "origin", "sheet", "stand_in")

    def __init__(
        self, era: int, client: ClientFacts | None = None, stand_in: ClientFacts | None = None
    ) -> None:
        self.era = era
        self.client = client
        """Whose pool it is; None where only the call tells, as for those of ``requests``."""
        self.stand_in = stand_in
        """Whose it is when no call tells."""
        self.origin: RawOrigin | None = None
        """Where its connections lead, once it was used."""
        self.sheet: Pool | None = None
        self.ending: str | None = None
        """The close trigger of the connections it holds, once it was closed or evicted."""

    def __repr__(self) -> str:
        return f"<PoolState {self.sheet!r} {self.ending or 'open'}>"

    def current(self, pool: Any, client: int | None) -> Pool:
        """The pool's sheet, stated when it is first used (and again by a forked child)."""
        sheet = self.sheet
        if sheet is None or sheet.epoch != FACTS.epoch:
            sheet = self.sheet = Pool(FACTS.epoch, client)
            self.origin = pool.scheme, pool.host, pool.port
            sheet.blocking = bool(pool.block)
            sheet.max_idle = getattr(pool.pool, "maxsize", None)
            sheet.max_connections = sheet.max_idle if sheet.blocking else None
            FACTS.put(BEGUN, sheet)
        return sheet


class Attempt:
    """One pass through a pool's ``urlopen``: one exchange, or silence where we are suppressed."""

    __slots__ = (
        "answer",
        "asked",
        "call",
        "exchange",
        "headers",
        "instead",
        "over",
        "pool_id",
        "pool_state",
        "served",
    )

    def __init__(self, exchange: Exchange | None, pool_id: int, pool_state: PoolState | None) -> None:
        self.exchange = exchange
        self.pool_id = pool_id
        self.pool_state = pool_state
        self.call: Call | None = None
        """A call that begins here, because the pool is used without a client's."""
        self.instead: tuple[Any, Any] | None = None
        """The arguments to go on with, where a door has changed them."""
        self.headers: Any = None
        """Those of the request, once it was sent."""
        self.asked = False
        """Whether it has asked the pool for a connection."""
        self.served = False
        """Whether a connection that we watch took it."""
        self.over = exchange is None
        self.answer: Any = None
        """``http.client``'s response while its body is being read."""

    def __repr__(self) -> str:
        return f"<Attempt {self.exchange!r}>"


class ConnectionState:
    """What we know of an HTTPConnection object and of the socket it holds now."""

    __slots__ = (
        "attempt",
        "awaited",
        "ending_since",
        "era",
        "fresh",
        "inside",
        "past_unknown",
        "pool_state",
        "setup",
        "sheet",
        "silent",
    )

    def __init__(self, era: int) -> None:
        self.era = era
        self.sheet: Connection | None = None
        self.attempt: Attempt | None = None
        self.awaited = False
        """All is ready for the request of `attempt`: its pool has just handed over a connection in use."""
        self.setup: Any = None
        """The `Setup` under way."""
        self.inside: str | None = None
        """Which of our wrappers is running: a subclass's method calling the base's is one call, not two."""
        self.pool_state: PoolState | None = None
        self.silent = False
        """The socket was opened while we were suppressed: never to be reported."""
        self.fresh = False
        """It held no socket when its present owner got it."""
        self.past_unknown = False
        """The socket was open before we began to look."""
        self.ending_since: float | None = None
        """When the connection was given up to an answer that says it will not be kept."""

    def __repr__(self) -> str:
        return f"<ConnectionState {self.sheet!r}>"

    def __del__(self) -> None:
        if _collected is not None:  # as all globals may be while the interpreter shuts down
            _collected(self)


@guard("urllib3.collected")
def _collected(state: ConnectionState) -> None:
    sheet, state.sheet = state.sheet, None
    if not in_sight(state.era):
        return
    if sheet is not None:
        end_connection(state, sheet, "gc" if state.ending_since is None else "response", now())
    elif state.attempt is not None and not state.attempt.over:
        finish(state.attempt, None, now())


def state_of(connection: Any) -> ConnectionState:
    """The state of an HTTPConnection object; a fresh one if hooks were out in the meantime."""
    state: ConnectionState | None = connection._poolscope
    if state is None or state.era != connection._poolscope_era:
        if state is not None:
            state.sheet = state.attempt = None  # what became of them nobody saw
        state = ConnectionState(connection._poolscope_era)
        set_mark(connection, state)
    return state


def attempt_on(state: ConnectionState) -> Attempt | None:
    """The attempt that owns a connection now, if any."""
    attempt = state.attempt
    if attempt is not None and not attempt.over:
        return attempt
    current: Attempt | None = CURRENT_ATTEMPT.get()
    if current is not None and current.exchange is not None:
        if current.over or current.served:
            return None
        current.served = True
        state.attempt = current
    return current


def silent_here(state: ConnectionState) -> bool:
    """Whether what happens on a connection now is none of our business."""
    attempt = attempt_on(state)
    return attempt is not None and attempt.exchange is None


def begin_exchange(origin: RawOrigin, method: Any, target: Any) -> Exchange:
    """A new exchange of the running thread and task, not stated yet."""
    exchange = Exchange(origin, FACTS.epoch, now(), method, target)
    exchange.thread = threading.get_ident()
    exchange.task = current_task()
    return exchange


class Request(NamedTuple):
    """What a door may look at when an exchange starts."""

    method: Any
    target: Any
    headers: Any


def announce(exchange: Exchange, args: Any, kwargs: Any, default_headers: Any) -> tuple[Any, Any] | None:
    """State an exchange's start; returns other arguments for ``urlopen`` or ``request``, or None.

    Both take the headers as their fourth. Where a door adds some, they go into a copy.
    """
    FACTS.put(BEGUN, exchange)
    door = LIVE.door
    if door is None:
        return None
    headers = args[3] if len(args) > 3 else kwargs.get("headers")
    if headers is None:
        headers = default_headers
    added = door.request_started(exchange, Request(exchange.method, exchange.target, headers))
    if not added:
        return None
    merged = _copy_of(headers)
    for name, value in added:
        merged[name] = value
    if len(args) > 3:
        return (*args[:3], merged, *args[4:]), kwargs
    return args, {**kwargs, "headers": merged}


def _copy_of(headers: Any) -> Any:
    if type(headers).__name__ == "CaseInsensitiveDict" and hasattr(headers, "_store"):
        # Its own copy() sets one header after the other, which takes longer than all the rest of this.
        copied = object.__new__(type(headers))
        copied._store = headers._store.copy()
        return copied
    return headers.copy() if hasattr(headers, "copy") else dict(headers or ())


def assign(exchange: Exchange, connection: Connection, reused: bool) -> None:
    """Give ``exchange`` its connection."""
    exchange.connection = connection
    exchange.reused = reused
    connection.in_flight.add(exchange.id)
    connection.unsettled.add(exchange.id)


def begin_request(connection: Connection) -> None:
    """What was seen of the request before has been told."""
    connection.last_status = connection.body_complete = connection.answer_closes = connection.error = None
    connection.request_closes = None
    connection.eof = False


def fail(attempt: Attempt, error: BaseException, at: float) -> None:
    """End an attempt by an exception; called in its own task, never by a close or a finalizer."""
    exchange = attempt.exchange
    if exchange is None or attempt.over:
        return
    if exchange.connection is not None:
        note_error(exchange.connection, error)
    unanswered = exchange.headers_at is None
    _end(attempt, exchange, None if unanswered else False, class_name(error), at)
    if unanswered and LIVE.door is not None:
        LIVE.door.request_failed(exchange, error)


def finish(attempt: Attempt, body_complete: bool | None, at: float, error: str | None = None) -> None:
    """End an attempt whose answer was read, closed or dropped."""
    exchange = attempt.exchange
    if exchange is not None and not attempt.over:
        _end(attempt, exchange, body_complete, error, at)


def _end(attempt: Attempt, exchange: Exchange, complete: bool | None, error: str | None, at: float) -> None:
    attempt.over = True
    attempt.answer = None
    exchange.body_complete = complete
    exchange.error = error
    exchange.finished_at = at
    connection = exchange.connection
    if connection is not None:
        connection.body_complete = complete
        if connection.closed_at is None:  # what was in flight at the close is part of its reason
            connection.in_flight.discard(exchange.id)
    FACTS.put(ENDED, exchange)


def was_read(attempt: Attempt) -> bool | None:
    """Whether the body came to its end. urllib3 1.26 takes a body that was cut off for a whole one."""
    answer, exchange = attempt.answer, attempt.exchange
    if answer is None:
        return None
    if not answer.length:  # none left, or told by chunks or by the close
        return True if answer.length == 0 or answer.isclosed() else None
    if not answer.isclosed():
        return None
    if exchange is not None and exchange.connection is not None:
        exchange.connection.eof = True
    return False


def end_connection(
    state: ConnectionState,
    sheet: Connection,
    trigger: str,
    at: float,
    close_time: float | None = None,
) -> None:
    """State the close of a connection, and the end of the exchange that was still on it."""
    state.ending_since = None
    sheet.close_trigger = trigger
    sheet.closed_at = at
    sheet.active_at_close = len(sheet.in_flight)
    sheet.close_time = close_time
    attempt, state.attempt = state.attempt, None
    if attempt is not None and attempt.headers:
        sheet.request_closes = _asks_to_close(attempt.headers)
    if attempt is not None and attempt.exchange is not None and attempt.exchange.connection is sheet:
        answered = attempt.exchange.headers_at is not None
        # Without a pool nobody tells that the body was read; with one, it would have been given back.
        finish(attempt, was_read(attempt) if attempt.pool_id == 0 else False if answered else None, at)
    FACTS.put(ENDED, sheet)


def _asks_to_close(headers: Any) -> bool:
    value = headers.get("Connection") or headers.get("connection")
    return isinstance(value, str) and value.lower() == "close"


def answered(attempt: Attempt, answer: Any, at: float) -> None:
    """The headers of ``answer``, an ``http.client`` response, are there."""
    exchange = attempt.exchange
    if exchange is None or attempt.over or exchange.headers_at is not None:
        return
    attempt.answer = answer
    exchange.headers_at = at
    exchange.status = answer.status
    connection = exchange.connection
    if connection is not None:
        connection.last_status = answer.status
        connection.error = None  # a broken pipe while sending, which did not keep the answer from coming
        connection.http_version = VERSIONS.get(answer.version)
        connection.answer_closes = bool(getattr(answer, "will_close", False))
    if LIVE.door is not None:
        LIVE.door.headers_received(exchange, answer)

"""urllib3: our attributes on its pools and connections.

Between ``_get_conn`` and ``_put_conn`` one thread owns a connection, so its mark needs no lock; after
``_put_conn`` the next owner may already be running, so everything is noted before.
"""

from __future__ import annotations

from contextvars import ContextVar
from functools import partial
from typing import Any, Final, NamedTuple

from poolscope.facts import CloseTrigger, Connection, Exchange, Pool, RawOrigin, now
from poolscope.libraries import connection_state, keepalive
from poolscope.libraries.errors import class_name
from poolscope.libraries.marks import in_sight, set_mark, watched
from poolscope.libraries.urllib3.errors import note_error, seen
from poolscope.story import exchange as exchanges
from poolscope.story import pool as pools
from poolscope.story.client import ClientFacts
from poolscope.story.connection import ConnectionMark
from poolscope.story.live import LIVE
from poolscope.story.sight import SIGHT, Era

CURRENT: Final[ContextVar[Exchange | None]] = ContextVar("poolscope_urllib3_exchange", default=None)
"""The exchange of the ``urlopen`` that is running."""

VERSIONS: Final = {9: "0.9", 10: "1.0", 11: "1.1", 20: "2"}


class Request(NamedTuple):
    """The request, as the door sees it when an exchange starts."""

    method: Any
    target: Any
    headers: Any


class PoolMark(pools.PoolMark):
    """The mark on a pool; shared with its connections, which may outlive it."""

    __slots__ = ("origin", "stand_in")

    def __init__(
        self, era: Era, client: ClientFacts | None = None, stand_in: ClientFacts | None = None
    ) -> None:
        super().__init__(era, client)
        self.stand_in = stand_in
        """Its client, unless a call says otherwise."""
        self.origin: RawOrigin = ("", "", None)
        """The origin of its connections, once it was used."""

    def sheet_of(self, pool: Any, client: int | None) -> Pool:
        """The sheet of ``pool``, stated when it is first used by ``client``."""
        return self.current(client, partial(self._describe, pool))

    def _describe(self, pool: Any, sheet: Pool) -> None:
        self.origin = pool.scheme, pool.host, pool.port
        if sheet.name is None and self.stand_in is not None:
            sheet.name = self.stand_in.pool_name
        sheet.blocking = bool(pool.block)
        sheet.max_idle = getattr(pool.pool, "maxsize", None)
        sheet.max_connections = sheet.max_idle if sheet.blocking else None


def mark_of_pool(pool: Any) -> PoolMark | None:
    """The mark on a pool, made now if everything is observed; None if the pool is not observed."""
    mark: PoolMark | None = in_sight(pool, PoolMark)
    return mark


class State(connection_state.ConnectionState):
    """The state of an HTTPConnection object."""

    __slots__ = ("answer", "ending_since", "fresh", "headers", "instead", "pool", "ready", "shut")

    def __init__(self, era: Era) -> None:
        super().__init__(era)
        self.pool: PoolMark | None = None
        self.fresh = False
        """It had no socket when its present owner got it."""
        self.ready = False
        """It is ready for a request: its pool has just handed it over with its socket."""
        self.headers: Any = None
        """The headers of the request under way."""
        self.answer: Any = None
        """``http.client``'s response while its body is being read."""
        self.ending_since: float | None = None
        """When the socket passed to an answer that says it will not be kept."""
        self.instead: Any = None
        """The changed headers of a request without a pool."""
        self.shut = False
        """The program has shut down its socket: the end that is read there is not the server's."""

    def collected(self) -> None:
        """The garbage collector takes the connection before the end of its socket or request."""
        if self.mark.sheet is not None:
            gone(self, "gc" if self.ending_since is None else "response", now())
        elif self.mark.exchange is not None:
            exchanges.ended(self.mark.exchange, None)


def state_of(connection: Any) -> State | None:
    """The mark on a connection; None if it is not observed, or has not been so far."""
    state: State | None = watched(connection)
    return state


def given_to(connection: Any, era: Era | None = None) -> State | None:
    """The state of a connection; created if its pool is of ``era``, or all objects are observed."""
    state = state_of(connection)
    if state is None:
        if era is None:
            if not SIGHT.everybody:
                return None
            era = SIGHT.era
        state = State(era)
        set_mark(connection, state)
    elif era is not None:
        state.era = era  # a pool that came to be observed by itself goes on without a gap
    return state


def current_exchange() -> Exchange | None:
    """The exchange of the ``urlopen`` that is running; None if that began before a gap."""
    exchange = CURRENT.get()
    return None if exchange is None or exchange.id <= LIVE.since else exchange


def exchange_on(mark: ConnectionMark) -> Exchange | None:
    """The exchange that owns a connection now: the current exchange, if it has no other connection and this one is free."""
    exchange = mark.exchange
    if exchange is not None and exchange.finished_at is None:
        return exchange
    current = current_exchange()
    if current is None or current.finished_at is not None or current.assigned_at is not None:
        return None
    exchanges.assigned(current)
    mark.exchange = current
    return current


def answered(exchange: Exchange, answer: Any) -> None:
    """The headers of ``answer``, an ``http.client`` response, are there."""
    if exchange.headers_at is None and exchange.finished_at is None:
        exchanges.headers(
            exchange,
            answer.status,
            answer,
            VERSIONS.get(answer.version),
            bool(getattr(answer, "will_close", False)),
        )
        connection = exchange.connection
        if connection is not None and connection.requests == 1:
            connection.server_keepalive = keepalive.timeout_of(answer.headers.get("Keep-Alive"))
            connection.first_length = answer.length


def fail(exchange: Exchange | None, error: BaseException) -> None:
    """End an exchange by an exception, in its own task."""
    if exchange is not None and exchange.finished_at is None:
        if exchange.connection is not None:
            note_error(exchange.connection, error)
        complete = None if exchange.headers_at is None else False
        exchanges.failed(exchange, error, class_name(error), complete, seen(error))


def was_read(state: State) -> bool | None:
    """Whether the body came to its end. urllib3 1.26 takes a body that was cut off for a whole one."""
    answer = state.answer
    if answer is None:
        return None
    if not answer.length:  # none left, or its length is known only from chunks or the close
        return True if answer.length == 0 or (answer.isclosed() and not state.shut) else None
    if not answer.isclosed():
        return None
    if state.mark.sheet is not None:
        state.mark.sheet.eof = True
    return False


def close_begins(state: State, trigger: CloseTrigger, at: float) -> Connection | None:
    """A socket's close begins, and ends the exchange that is still on it; returns its sheet, unless already closed."""
    mark = state.mark
    sheet = mark.sheet
    if state.shut and sheet is not None and (sheet.eof or sheet.error is None):
        trigger = "program"
    sheet = mark.closing(trigger, at)
    mark.sheet = state.ending_since = None
    if sheet is None:
        return None
    note_request(state, sheet)
    exchange = state.exchange
    if exchange is not None and exchange.connection is sheet:
        # Without a pool nothing shows that the body was read; with one, the connection would have been given back.
        unread = None if exchange.headers_at is None else False
        complete = was_read(state) if exchange.pool is None else unread
        exchanges.ended(exchange, complete, at=at)
    state.shut = False
    return sheet


def gone(state: State, trigger: CloseTrigger, at: float) -> None:
    """Report a socket's close that no call is asking for right now."""
    sheet = close_begins(state, trigger, at)
    if sheet is not None:
        state.mark.closed(sheet, None)


def note_request(state: State, sheet: Connection) -> None:
    """Whether the request under way asks for the connection to be closed; its headers are not kept for longer."""
    headers = state.headers
    if headers is not None:
        value = headers.get("Connection")
        if value is None and isinstance(headers, dict):  # others find a name in any case
            value = headers.get("connection")
        sheet.request_closes = isinstance(value, str) and value.lower() == "close"


def announced(exchange: Exchange, headers: Any) -> Any:
    """A copy of ``headers`` with those that the live door adds; None if it adds none."""
    added = exchanges.announce(exchange, Request(exchange.method, exchange.target, headers))
    if not added:
        return None
    merged = _copy_of(headers)
    for name, value in added:
        if name not in merged and isinstance(merged, dict):  # others find a name in any case
            _drop(merged, name)
        merged[name] = value
    return merged


def _drop(headers: dict[Any, Any], name: str) -> None:
    """Remove the caller's own header of this name in other letters: a server that gets two would believe neither."""
    for other in [known for known in headers if len(known) == len(name)]:
        if (other.decode("latin-1") if isinstance(other, bytes) else other).lower() == name:
            del headers[other]


def _copy_of(headers: Any) -> Any:
    if type(headers).__name__ == "CaseInsensitiveDict" and hasattr(headers, "_store"):
        # Its own copy() sets the headers one by one, which takes longer than all the rest here.
        copied = object.__new__(type(headers))
        copied._store = headers._store.copy()
        return copied
    return headers.copy() if hasattr(headers, "copy") else dict(headers or ())

"""tinyhttp: clients, exchanges, connections and their closes, as CONTRIBUTING.md says how to add a library."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any, Final
from urllib.parse import urlsplit

from poolscope.facts import CloseTrigger, Connection, Exchange, Pool, now
from poolscope.libraries import acquire, callsite, clients, connection_state
from poolscope.libraries.errors import class_name, handled_in, name_on_the_wire
from poolscope.libraries.marks import in_sight, set_mark, watched
from poolscope.libraries.point import Point
from poolscope.story import exchange as story
from poolscope.story import failures
from poolscope.story.call import CURRENT_CALL, Call
from poolscope.story.client import ClientMark
from poolscope.story.connection import ConnectionMark, Setup
from poolscope.story.exchange import CURRENT
from poolscope.story.pool import PoolMark

MEANINGS: Final = failures.Meanings(
    {"RemoteDisconnected": "ended", "IncompleteRead": "ended"}, {"HTTPException": "protocol"}
)


class State(connection_state.ConnectionState):
    """What a connection carries."""

    __slots__ = ()

    def collected(self) -> None:
        if self.exchange is not None:
            story.dropped(self.exchange, None)
        self.mark.collected()


def _note(sheet: Connection | None, error: BaseException) -> failures.Seen:
    """What an exception means, also for the connection it came from."""
    what = failures.seen(error, MEANINGS)
    if sheet is not None:
        sheet.eof = what.kind == "ended"
        sheet.error = None if sheet.eof else name_on_the_wire(error, "tinyhttp")
    return what


# Clients


def built(client: Any, token: float, frame: FrameType) -> None:
    """It has been built."""
    site = callsite.of_construction(frame, client)
    _leave(client, clients.built(client, "tinyhttp.Client", token, site))


def _leave(client: Any, mark: ClientMark) -> None:
    set_mark(client, mark)
    pool = in_sight(client.pool, PoolMark)
    if pool is not None:
        pool.belongs_to(mark.facts)


def calls(client: Any, frame: FrameType) -> Call | None:
    """The program makes a call."""
    mark = clients.in_sight(client, lambda _: "tinyhttp.Client", _leave)
    return None if mark is None else clients.call_on(client, mark, callsite.user(frame))


# Exchanges


def asks(
    pool: Any, method: str, url: str, headers: dict[str, str], frames: Callable[[int], FrameType]
) -> Exchange | None:
    """A request asks its pool."""
    mark = in_sight(pool, PoolMark)
    if mark is None:
        return None

    def describe(sheet: Pool) -> None:
        sheet.max_idle, sheet.blocking = pool.keep, False

    parts = urlsplit(url)
    origin = parts.scheme, parts.hostname or "", parts.port
    exchange = acquire.begins(mark, describe, origin, method, parts.path, frames, asynchronous=False)
    call = CURRENT_CALL.get()
    if call is not None and call.young is not None:
        identity = call.young.identity
        identity.is_set_up("pool", pool.keep, pool.timeout)
        call.young.sheet.settings = identity.sends(headers.items(), parts.path, None)
    headers.update(story.announce(exchange, headers))
    return exchange


def taken(_pool: Any, result: Any) -> None:
    """It has its connection."""
    exchange, carried = CURRENT.get(), watched(result)
    if exchange is not None and carried is not None:
        if exchange.assigned_at is None:
            story.assigned(exchange, carried.mark)
        carried.mark.taken(exchange)


def sending(connection: Any) -> Exchange | None:
    """Its head goes out."""
    carried = watched(connection)
    if carried is None or carried.exchange is None:
        return None
    carried.mark.counted(carried.exchange)
    return carried.exchange


def sent(token: Exchange, headers: dict[str, str]) -> None:
    """It did."""
    story.sent(token)
    if token.connection is not None:
        token.connection.request_closes = headers.get("Connection") == "close"


def answered(connection: Any, result: Any) -> None:
    """There is an answer."""
    carried, parsed = watched(connection), result.parsed
    if carried is not None and carried.exchange is not None:
        version = "1.0" if parsed.version == 10 else "1.1"
        closes = bool(parsed.will_close)
        story.headers(carried.exchange, parsed.status, parsed, http_version=version, answer_closes=closes)


def failed(token: Exchange, error: BaseException) -> None:
    """There is none."""
    story.failed(token, error, class_name(error), what=_note(token.connection, error))


def over(_pool: Any, connection: Any) -> None:
    """Its answer was read: this is the last moment in which the connection is its own."""
    carried = watched(connection)
    if carried is not None and carried.exchange is not None:
        story.ended(carried.exchange, True)


# Connections


def connecting(connection: Any) -> Setup | None:
    """A connection is set up, for the exchange that asked."""
    exchange, pool = CURRENT.get(), watched(connection.pool)
    if exchange is None or pool is None:
        return None
    carried = State(pool.era)
    set_mark(connection, carried)
    story.assigned(exchange, carried.mark)  # its wait for the pool is over: from here on it is setup
    setup = carried.mark.begins(exchange.origin, "direct", exchange, exchange.silent)
    setup.sheet.dns_name = connection.origin[0]
    return setup


def connected(connection: Any, token: Setup) -> None:
    """It is open."""
    token.over("connect")
    token.sheet.local, token.sheet.peer = connection.socket.getsockname(), connection.socket.getpeername()
    watched(connection).mark.opened()


def not_connected(connection: Any, error: BaseException) -> None:
    """It does not."""
    watched(connection).mark.setup_failed(name_on_the_wire(error, "tinyhttp"), _note(None, error))


def closing(connection: Any, frame: FrameType) -> tuple[ConnectionMark, Connection] | None:
    """It is closed: by whom, and with which exchange on it?"""
    carried: State | None = watched(connection)
    if carried is None or carried.mark.sheet is None:
        return None
    trigger = _trigger(carried, connection, frame)
    sheet = carried.mark.closing(trigger)
    return None if sheet is None else (carried.mark, sheet)


def _trigger(carried: State, connection: Any, frame: FrameType) -> CloseTrigger:
    if frame.f_globals.get("__name__") != "tinyhttp":
        return "program"
    caller, owner = frame.f_code.co_name, frame.f_locals.get("self")
    if caller == "take":
        return "checkout"
    if caller == "give_back":
        return "checkin"
    if owner is connection.pool and caller == "close":
        if carried.mark.sheet is not None and connection.is_dropped():
            carried.mark.sheet.readable_at = now()
        return "client"
    return _after(carried, handled_in(owner), complete=caller == "_over")


def _after(carried: State, error: BaseException | None, *, complete: bool) -> CloseTrigger:
    """It is closed after an exchange, which that ends."""
    exchange, sheet = carried.exchange, carried.mark.sheet
    if exchange is None:
        return "response"
    if error is None:
        story.ended(exchange, complete)
        return "response"
    what = _note(sheet, error)
    if exchange.headers_at is not None:  # else the hook of `ask` will end it
        story.ended(exchange, False, class_name(error), what=what)
    return "exchange"


def closed(token: tuple[ConnectionMark, Connection]) -> None:
    """It was."""
    mark, sheet = token
    mark.closed(sheet, now() - (sheet.closed_at or 0.0))


POINTS: Final = (
    Point("Client", "__init__", before=clients.building, after=built),
    Point("Client", "get", before=calls, var=CURRENT_CALL),
    Point("Client", "close", after=clients.closed),
    Point("Pool", "ask", before=asks, failed=failed, var=CURRENT),
    Point("Pool", "take", after=taken),
    Point("Pool", "give_back", before=over),
    Point("Connection", "connect", before=connecting, after=connected, failed=not_connected),
    Point("Connection", "send", before=sending, after=sent),
    Point("Connection", "receive", after=answered),
    Point("Connection", "close", before=closing, always=closed),
)


def points(_module: ModuleType) -> tuple[Point, ...]:
    """Where tinyhttp is seen."""
    return POINTS

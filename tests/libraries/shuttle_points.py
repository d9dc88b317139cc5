"""shuttle: what `tinyhttp_points` did not need.

A client that is its own pool and makes requests wait, a line that is connected by being made, a function, and a second
attempt within one method.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from contextvars import ContextVar
from types import FrameType, ModuleType
from typing import Any, Final
from urllib.parse import urlsplit

from poolscope.facts import CloseTrigger, Connection, Exchange, Pool, now
from poolscope.libraries import acquire, callsite, clients, connection_state, tls
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

MEANINGS: Final = failures.Meanings({}, {"Broken": "protocol", "ValueError": "protocol", "Late": "pool"})
POOL: Final = "_poolscope_pool"
SETUP: Final[ContextVar[Setup | None]] = ContextVar("poolscope_shuttle_setup", default=None)


class State(connection_state.ConnectionState):
    """What a line carries."""

    __slots__ = ()

    def collected(self) -> None:
        if self.exchange is not None:
            story.dropped(self.exchange, None)
        self.mark.collected()


def _fails(exchange: Exchange, error: BaseException) -> None:
    if exchange.finished_at is not None:
        return  # the first attempt, which is over when the second one fails
    what = failures.seen(error, MEANINGS)
    sheet = exchange.connection
    if sheet is not None and not sheet.eof:
        sheet.error = "HTTPException" if what.kind == "protocol" else name_on_the_wire(error, "shuttle")
    complete = None if exchange.headers_at is None else False
    story.failed(exchange, error, class_name(error), complete, what=what)


# Clients, each its own pool


def built(depot: Any, token: float, frame: FrameType) -> None:
    _leave(depot, clients.built(depot, "shuttle.Depot", token, callsite.of_construction(frame, depot)))


def _leave(depot: Any, mark: ClientMark) -> None:
    set_mark(depot, mark)
    pool = in_sight(depot, PoolMark, POOL)
    if pool is not None:
        pool.belongs_to(mark.facts)


def calls(depot: Any, frame: FrameType) -> Call | None:
    mark = clients.in_sight(depot, lambda _: "shuttle.Depot", _leave)
    return None if mark is None else clients.call_on(depot, mark, callsite.user(frame))


# Exchanges


def asks(
    depot: Any, url: str, labels: dict[str, str], load: bytes | None, frames: Callable[[int], FrameType]
) -> Exchange | None:
    mark = in_sight(depot, PoolMark, POOL)
    if mark is None:
        return None

    def describe(sheet: Pool) -> None:
        sheet.max_connections, sheet.max_idle, sheet.blocking = depot.lines, depot.spare, True
        sheet.keepalive_expiry = depot.expiry

    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    origin = parts.scheme, parts.hostname or "", parts.port
    method = "GET" if load is None else "POST"
    exchange = acquire.begins(mark, describe, origin, method, target, frames, asynchronous=False)
    call = CURRENT_CALL.get()
    if call is not None and call.young is not None:
        call.young.identity.is_set_up("depot", depot.lines, depot.spare, depot.expiry, depot.trust)
        call.young.sends(labels.items(), target, load)
    labels.update(story.announce(exchange, labels))
    exchange.queued = depot.lent >= depot.lines
    return exchange


def asks_again(depot: Any, frames: Callable[[int], FrameType]) -> Exchange | None:
    """A spare line was dead: the same on another one."""
    mark, before = in_sight(depot, PoolMark, POOL), CURRENT.get()
    if mark is None or before is None:
        return None
    exchange = acquire.begins(
        mark, lambda _: None, before.origin, before.method, before.target, frames, asynchronous=False
    )
    story.announce(exchange, {})
    return exchange


def lent(result: Any) -> None:
    _taken(CURRENT.get(), result[0])


def replaced(token: Exchange, result: Any) -> None:
    _taken(token, result)


def _taken(exchange: Exchange | None, line: Any) -> None:
    carried = watched(line)
    if exchange is not None and carried is not None:
        if exchange.assigned_at is None:  # a spare one
            story.assigned(exchange, carried.mark)
        carried.mark.taken(exchange)


def failed(token: Exchange, error: BaseException) -> None:
    _fails(token, error)


def putting(line: Any) -> Exchange | None:
    carried = watched(line)
    if carried is None or carried.exchange is None:
        return None
    carried.mark.counted(carried.exchange)
    return carried.exchange


def put(token: Exchange, data: bytes) -> None:
    story.sent(token)
    if token.connection is not None:
        token.connection.request_closes = b"connection: close" in data.partition(b"\r\n\r\n")[0].lower()


def answered(parcel: Any, line: Any) -> None:
    carried = watched(line)
    if carried is not None and carried.exchange is not None:
        closes = not parcel.lasts
        story.headers(
            carried.exchange, parcel.status, parcel, http_version=parcel.version, answer_closes=closes
        )


def hung_up(line: Any, error: BaseException) -> None:
    carried = watched(line)
    if carried is not None and carried.mark.sheet is not None and error.__cause__ is None:
        carried.mark.sheet.eof = True


def refused(parcel: Any) -> None:
    """Its line is given up before the body has ended."""
    carried = None if parcel._line is None else watched(parcel._line)
    if carried is None or carried.exchange is None:
        return
    error = handled_in(parcel)
    if error is None or isinstance(error, GeneratorExit):
        story.ended(carried.exchange, False)
    else:
        _fails(carried.exchange, error)


def home(depot: Any, line: Any, lasts: bool) -> None:
    carried = watched(line)
    if carried is None or carried.exchange is None:
        return
    error = None if lasts else handled_in(depot)
    if error is None:
        story.ended(carried.exchange, True)
    else:
        _fails(carried.exchange, error)


# Lines


def dialling(line: Any, station: Any) -> Setup | None:
    exchange = CURRENT.get()
    pool = None if exchange is None else exchange._pool
    if exchange is None or pool is None:
        return None
    carried = State(pool.era)
    set_mark(line, carried)
    story.assigned(exchange, carried.mark)  # what it waits for from here on is the setup
    setup = carried.mark.begins(exchange.origin, "direct", exchange, exchange.silent)
    setup.sheet.dns_name = station.host
    if pool.sheet is not None:
        setup.sheet.keepalive_expiry = pool.sheet.keepalive_expiry
    return setup


def dialled(station: Any, result: Any) -> None:
    setup = SETUP.get()
    if setup is not None:
        setup.over("tls" if station.secure else "connect")
        setup.sheet.local, setup.sheet.peer = result.getsockname(), result.getpeername()


def connected(line: Any, token: Setup) -> None:
    if line.station.secure:
        token.over("tls")
        tls.note_tls(line.plug, token.sheet)
    watched(line).mark.opened()


def not_connected(line: Any, error: BaseException) -> None:
    carried = watched(line)
    if carried is not None:
        carried.mark.setup_failed(name_on_the_wire(error, "shuttle"), failures.seen(error, MEANINGS))


def cutting(line: Any, frame: FrameType) -> tuple[ConnectionMark, Connection] | None:
    carried: State | None = watched(line)
    if carried is None or carried.mark.sheet is None or line.dead:
        return None
    sheet = carried.mark.closing(_trigger(carried, line, frame))
    return None if sheet is None else (carried.mark, sheet)


def _trigger(carried: State, line: Any, frame: FrameType) -> CloseTrigger:
    sheet = carried.mark.sheet
    if not frame.f_globals.get("__name__", "").startswith("shuttle."):
        return "program"
    caller = frame.f_code.co_name
    if caller == "home":
        if frame.f_locals["lasts"]:
            if sheet is not None:
                sheet.idle_left = len(frame.f_locals["self"].at_home)
            return "checkin"
        return "exchange" if sheet is not None and sheet.error else "response"
    readable = bool(select.select([line.plug], [], [], 0)[0])
    if caller == "lend":
        return "checkout" if readable else "maintenance"
    if sheet is not None and readable:
        sheet.readable_at = now()
    return "client"


def cut(token: tuple[ConnectionMark, Connection]) -> None:
    mark, sheet = token
    mark.closed(sheet, now() - (sheet.closed_at or 0.0))


POINTS: Final = (
    Point("Depot", "__init__", before=clients.building, after=built),
    Point("Depot", "fetch", before=calls, var=CURRENT_CALL),
    Point("Depot", "shut", after=clients.closed),
    Point("Depot", "order", before=asks, failed=failed, var=CURRENT),
    Point("Depot", "lend", after=lent),
    Point("Depot", "replaced", before=asks_again, after=replaced, failed=failed, var=CURRENT),
    Point("Depot", "home", before=home),
    Point("_line", "dial", after=dialled),
    Point("_line.Line", "__init__", before=dialling, after=connected, failed=not_connected, var=SETUP),
    Point("_line.Line", "put", before=putting, after=put),
    Point("_line.Line", "take", failed=hung_up),
    Point("_line.Line", "cut", before=cutting, always=cut),
    Point("_parcel.Parcel", "__init__", after=answered),
    Point("_parcel.Parcel", "refuse", before=refused),
)


def points(_module: ModuleType) -> tuple[Point, ...]:
    return POINTS

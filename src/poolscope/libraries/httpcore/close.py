"""The end of a connection: who closes its stream, and what the library saw before."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, Final, NamedTuple

from poolscope.facts import CloseTrigger, Connection, Failure, now
from poolscope.libraries import callsite
from poolscope.libraries.httpcore import errors, names
from poolscope.libraries.httpcore.marks import CLOSER, Wire, let_go, wire_of
from poolscope.libraries.point import Point
from poolscope.libraries.unread import who_ended
from poolscope.story import failures
from poolscope.story.exchange import CURRENT

_LIBRARIES: Final = frozenset(("httpcore", "httpcore2"))


def pool_closes() -> CloseTrigger:
    """Connections that close during a pool's close were closed by the program."""
    return "client"


def pool_tidies() -> CloseTrigger | None:
    """A close by the connection itself is the pool's housekeeping, unless the pool itself is closed."""
    return None if CLOSER.get() == "client" else "maintenance"


class Closing(NamedTuple):
    """Takes the sheet if this is the first close."""

    wire: Wire
    sheet: Connection


def closing(stream: Any, frame: FrameType) -> Closing | None:
    """The stream is about to close: note who closes it and why, before the socket is gone."""
    wire = wire_of(stream)
    if wire is None or wire.setup is not None:
        return None
    sheet = wire.sheet
    if sheet is None or sheet.closed_at is not None:
        return None
    protocol = None if wire.protocol is None else wire.protocol()
    caller = callsite.past_wrappers(frame, stream, "close", "aclose")
    trigger = _trigger(wire, sheet, stream, protocol, str(caller.f_globals.get("__name__")))
    if wire.closing(trigger) is None:
        return None
    if names.speaks_http2(protocol):
        _note_http2(sheet, protocol)
    elif trigger in ("exchange", "response"):
        _note_http1(wire, sheet, protocol, sys.exc_info()[1])
        if sheet.eof:  # perhaps the program has shut down the socket, to wake a thread that reads
            sheet.close_trigger = who_ended(sheet, stream, trigger)
    if trigger in ("exchange", "response"):
        sheet.idle_since = None
    return Closing(wire, sheet)


def closed(stream: Any, token: Closing) -> None:
    """The library's close has returned."""
    wire, sheet = token
    wire.closed(sheet, now() - (sheet.closed_at or 0.0))
    let_go(stream)


def _trigger(wire: Wire, sheet: Connection, stream: Any, protocol: Any, caller: str) -> CloseTrigger:
    """Who is closing the connection; ``caller`` is the module that called its stream's close."""
    if sheet.last_status != 101 and caller.partition(".")[0] not in _LIBRARIES:
        return "program"  # an upgraded one is the program's to close
    closer, current = CLOSER.get(), CURRENT.get()
    ours = current is not None and current._mark is wire
    if closer == "maintenance":
        if current is not None and ours:
            wire.given_back(current, None)  # it has failed, and its pool tidies up after it
        return _housekeeping(wire, sheet, stream, protocol)
    if closer is not None:
        if not sheet.in_flight and not names.speaks_http2(protocol) and stream.get_extra_info("is_readable"):
            sheet.readable_at = now()
        return closer
    running = wire.exchange
    return "exchange" if ours or (running is not None and running.finished_at is None) else "response"


def _housekeeping(wire: Wire, sheet: Connection, stream: Any, protocol: Any) -> CloseTrigger:
    if sheet.in_flight:
        return "mistake"
    if names.speaks_http2(protocol):
        broken = names.broken_by(protocol) is not None
    else:
        broken = bool(stream.get_extra_info("is_readable"))
        if broken:
            sheet.readable_at = now()
    idle_since, expiry = sheet.idle_since, sheet.keepalive_expiry
    if broken or idle_since is None or (expiry is not None and now() - idle_since > expiry):
        return "maintenance"
    pool = wire.pool.pool()
    if pool is None:
        return "maintenance"
    if names.makes_room(pool):
        return "eviction"
    sheet.idle_left = names.idle_in(pool)
    return "maintenance"


def _note_http2(sheet: Connection, protocol: Any) -> None:
    sheet.goaway = names.heard_goaway(protocol)
    error = names.broken_by(protocol)
    if error is not None and not sheet.goaway:
        name = names.class_of(error).__name__
        # Here eof means only that there is nothing more to read; the data is interpreted elsewhere.
        sheet.eof = name == "RemoteProtocolError"
        sheet.error = name
        what = failures.Seen("ended") if sheet.eof else errors.seen(error)
        type_ = failures.type_of(what.kind, "awaiting")
        sheet.failure = None if type_ is None else Failure(type_, what.code, what.said)


def _note_http1(wire: Wire, sheet: Connection, protocol: Any, error: BaseException | None) -> None:
    if isinstance(error, GeneratorExit) and sheet.last_status is not None:
        # The iterator over the body was dropped half way: the program has read enough, and nothing failed.
        sheet.close_trigger, sheet.body_complete = "response", False
        return
    failed = error if sheet.close_trigger == "exchange" else None
    sheet.eof = names.met_the_end(protocol, failed)
    if failed is None:
        return
    if sheet.error is None:
        sheet.error = names.class_of(failed).__name__
    exchange = wire.exchange
    if exchange is not None and exchange.error is None:
        exchange.error = names.class_name(failed)
        exchange.failure = failures.of_exchange(exchange, errors.seen(failed))


STREAM_ENDS: Final = (
    Point("NetworkStream", "close", before=closing, always=closed),
    Point("NetworkStream", "aclose", before=closing, always=closed),
)
"""The hook points of the stream classes of connections."""

CONNECTIONS: Final = (
    Point("ConnectionInterface", "close", before=pool_tidies, var=CLOSER),
    Point("ConnectionInterface", "aclose", before=pool_tidies, var=CLOSER),
)
"""The hook points of the classes of a pool's connections."""

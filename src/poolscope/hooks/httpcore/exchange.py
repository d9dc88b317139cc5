"""The moments of an exchange on an httpcore connection, and of the connection's close.

The numbers are right under load because of two rules: an exchange is counted on a connection at its first
write there (httpcore 1 may assign one idle connection to several requests, and only the winner writes),
and it is released before httpcore's own release, after which the next owner may already be running.
"""

from __future__ import annotations

from poolscope.facts import ENDED, Connection, now
from poolscope.hooks.httpcore import peek
from poolscope.hooks.httpcore.state import CLOSER, Flight, Wire, put

_LIBRARIES = frozenset(("httpcore", "httpcore2"))


def account(wire: Wire, flight: Flight, stream_id: int | None = None) -> None:
    """``flight`` has really got this connection: called at its first write there."""
    connection, sheet = wire.sheet, flight.sheet
    if connection is None or connection.closed_at is not None:
        return
    if stream_id is None:
        number = connection.requests = connection.requests + 1
    else:
        number = (stream_id + 1) // 2  # a client's streams are 1, 3, 5, …, in wire order
        sheet.stream_id = stream_id
        with wire.lock:
            connection.requests += 1
    if wire.numbered or stream_id is not None:
        sheet.request_number = number
    assigned_at = flight.assigned_at
    opened_at, idle_since = connection.opened_at, connection.idle_since
    if connection.opened_by == sheet.id:
        sheet.joined = sheet.reused = False
    else:
        joined = sheet.joined = opened_at is not None and assigned_at is not None and assigned_at < opened_at
        sheet.reused = not joined
    if idle_since is not None:
        if assigned_at is not None and not connection.in_flight:
            # Who was assigned while another still ran waited for its end on HTTP/1.1, for nothing on HTTP/2.
            if assigned_at >= idle_since:
                sheet.idle_time = assigned_at - idle_since
            elif stream_id is None:
                sheet.idle_time = 0.0
        connection.idle_since = None
    connection.in_flight.add(sheet.id)
    if not flight.silent:
        connection.unsettled.add(sheet.id)
    connection.last_status = connection.body_complete = connection.readable_at = None
    connection.answer_closes = connection.request_closes = None
    if not wire.h2:
        connection.error, connection.eof = None, False
    wire.flight = flight
    wire.mistaken = False
    if not wire.silent:
        sheet.connection = connection


def release(flight: Flight) -> None:
    """``flight`` is done with its connection, which may have another owner a moment later."""
    wire = flight.wire
    connection = None if wire is None else wire.sheet
    if connection is None or connection.closed_at is not None:
        return  # what was in flight at the close is part of its reason
    in_flight = connection.in_flight
    if flight.sheet.id in in_flight:
        in_flight.discard(flight.sheet.id)
        if not in_flight:
            connection.idle_since = now()


def discount(flight: Flight) -> None:
    """``flight`` was not served by this connection, so it does not count there."""
    wire, sheet = flight.wire, flight.sheet
    connection = None if wire is None else wire.sheet
    if wire is not None and connection is not None and sheet.id in connection.in_flight:
        with wire.lock:
            connection.requests -= 1
        connection.unsettled.discard(sheet.id)
    release(flight)
    sheet.connection = sheet.request_number = sheet.stream_id = sheet.sent_at = None
    sheet.reused = sheet.joined = sheet.idle_time = None


def finish(flight: Flight, error: str | None, body_complete: bool | None) -> None:
    """The exchange is over: state it."""
    flight.over = True
    sheet = flight.sheet
    sheet.finished_at = now()
    sheet.error = error
    sheet.body_complete = body_complete
    put(ENDED, sheet, flight.silent)


def class_of(error: BaseException) -> type[BaseException]:
    """An exception's class; of a group whose members are all of one class, theirs."""
    # anyio on trio wraps even the cancellation of a single connect in groups.
    while isinstance(error, BaseExceptionGroup) and len(set(map(type, error.exceptions))) == 1:
        error = error.exceptions[0]
    return type(error)


def class_name(error: BaseException) -> str:
    """The fully qualified name of an exception's class; builtins without their module."""
    cls = class_of(error)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def trigger_of(wire: Wire, connection: Connection, caller: str) -> str:
    """Who is closing the connection in this context; ``caller`` is the module that called its stream's close."""
    if connection.last_status != 101 and caller.partition(".")[0] not in _LIBRARIES:
        return "program"  # an upgraded one is the program's to close
    closer = CLOSER.get()
    if closer is not None:
        if closer == "maintenance" and (wire.mistaken or connection.in_flight):
            return "mistake"
        if closer == "maintenance" and _evicted(wire, connection):
            return "eviction"
        return closer
    return "exchange" if wire.flight is not None else "response"


def _evicted(wire: Wire, connection: Connection) -> bool:
    if (
        connection.readable_at is not None
        or connection.error is not None
        or connection.eof
        or connection.in_flight
    ):
        return False
    idle_since, expiry = connection.idle_since, connection.keepalive_expiry
    if idle_since is None or (expiry is not None and now() - idle_since > expiry):
        return False
    pool = wire.pool_state.pool()
    return pool is not None and peek.makes_room(pool)


def note_close(wire: Wire, connection: Connection, trigger: str, error: BaseException | None) -> None:
    """Write down what the close will be explained with."""
    if isinstance(error, GeneratorExit) and connection.last_status is not None and not wire.h2:
        # The iterator over the body was let go half way: the program has read enough, and nothing failed.
        trigger, connection.body_complete = "response", False
    connection.close_trigger = trigger
    if trigger not in ("exchange", "response"):
        return
    connection.idle_since = None
    flight = wire.flight
    if trigger == "exchange" and error is not None and not connection.goaway:
        if connection.error is None:
            connection.error = class_of(error).__name__
        if flight is not None and not wire.h2 and flight.sheet.error is None:
            flight.sheet.error = class_name(error)
    if flight is None or wire.h2:
        return
    if flight.answer_headers is not None:
        connection.answer_closes = peek.asks_to_close(flight.answer_headers, flight.http_version)
    if flight.request_headers is not None:
        connection.request_closes = peek.asks_to_close(flight.request_headers)


def claim(wire: Wire, connection: Connection, at: float) -> bool:
    """Whether the caller is the one that closes the connection; two threads may try at once."""
    with wire.lock:
        if connection.closed_at is not None:
            return False
        connection.closed_at = at
        connection.active_at_close = len(connection.in_flight)
    return True


def closed(wire: Wire, connection: Connection, took: float | None) -> None:
    """The connection is closed: state it. Called by the one that claimed it."""
    connection.close_time = took
    wire.open = False
    put(ENDED, connection, wire.silent)

"""The ends of httpcore's connections: a network backend per connection, and the streams it hands out.

A stream keeps its identity and gets a class of ours; a backend is wrapped, since one serves many
connections. Every method exists twice, with and without ``await``; what they do is in the guarded
functions between.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from poolscope.facts import Connection, now
from poolscope.hooks.guarding import guard, hide_frame
from poolscope.hooks.httpcore import peek
from poolscope.hooks.httpcore.describe import note_tls
from poolscope.hooks.httpcore.exchange import account, claim, class_of, closed, note_close, trigger_of
from poolscope.hooks.httpcore.h2 import trace_protocol
from poolscope.hooks.httpcore.setup import (
    handshake_begins,
    handshake_ends,
    opened,
    opened_late,
    setup_is_over,
)
from poolscope.hooks.httpcore.state import CURRENT, Flight, Wire
from poolscope.hooks.traced import TracedClasses

# What is seen on a stream


@guard("httpcore.write")
def writing(stream: Any, flight: Flight) -> None:
    """``flight`` writes on ``stream`` for the first time, or while setup is still under way."""
    wire: Wire | None = stream._poolscope
    if wire is None or flight.wire is not wire or wire.stream != id(stream):
        return
    if not wire.open:
        if wire.sheet is None or wire.sheet.closed_at is not None or peek.protocol_of(flight.holder) is None:
            return  # closed meanwhile, or the write belongs to the setup: CONNECT or SOCKS
        opened_late(wire)
    # On HTTP/2 streams are counted where they get their ids; the connection's preface comes before that.
    if wire.h2 and trace_protocol(peek.protocol_of(flight.holder)):
        return
    account(wire, flight)
    flight.bound = wire
    flight.sender = peek.sender_of(flight.holder)


@guard("httpcore.written")
def written(flight: Flight) -> None:
    """``flight`` has written something: perhaps the last byte of its request."""
    if peek.has_sent(flight.sender):
        flight.sheet.sent_at = now()


@guard("httpcore.stream_error")
def stream_failed(stream: Any, error: BaseException) -> None:
    """Reading or writing raised."""
    wire: Wire | None = stream._poolscope
    if wire is not None and wire.sheet is not None and wire.sheet.closed_at is None:
        wire.sheet.error = class_of(error).__name__


@guard("httpcore.eof")
def stream_ended(stream: Any) -> None:
    """A read returned no bytes."""
    wire: Wire | None = stream._poolscope
    if wire is not None and wire.sheet is not None and wire.open and wire.sheet.closed_at is None:
        wire.sheet.eof = True


@guard("httpcore.readable")
def stream_readable(stream: Any, served: int | None) -> None:
    """The pool found an idle socket readable: the server said or closed something.

    Unless a request came in between (``served`` is how many there had been, None while one runs): then it
    is its answer that was there, and the pool will take it for a disconnect all the same.
    """
    wire: Wire | None = stream._poolscope
    if wire is None or wire.sheet is None or sys._getframe(3).f_code.co_name != "has_expired":
        return  # somebody else may look at any time
    if served is None or served != wire.sheet.requests:
        wire.mistaken = True
    elif wire.sheet.readable_at is None:
        wire.sheet.readable_at = now()


@guard("httpcore.close")
def closing(stream: Any) -> tuple[Wire, Connection, float] | None:
    """Somebody closes the stream: note who and why, before the socket is gone."""
    wire: Wire | None = stream._poolscope
    if wire is None or wire.stream != id(stream) or not wire.open or wire.sheet is None:
        return None
    connection = wire.sheet
    if connection.closed_at is not None:
        return None
    caller = sys._getframe(3)  # of this body's guard's wrapper
    trigger, at = trigger_of(wire, connection, str(caller.f_globals.get("__name__"))), now()
    # Claimed before the socket goes: a request on it in another thread will fail by it and close it again.
    if not claim(wire, connection, at):
        return None
    connection.goaway = wire.h2 and peek.heard_goaway(caller.f_locals.get("self"))
    note_close(wire, connection, trigger, sys.exc_info()[1])
    return wire, connection, at


@guard("httpcore.closed")
def was_closed(streams: TracedClasses, stream: Any, close: tuple[Wire, Connection, float] | None) -> None:
    """The library's close has returned."""
    if close is not None:
        wire, connection, at = close
        closed(wire, connection, now() - at)
        streams.give_up(stream)


@guard("httpcore.collected")
def collected(stream: Any) -> None:
    """The garbage collector takes the stream; runs anywhere, so it only states the fact."""
    wire: Wire | None = stream._poolscope
    if wire is None or wire.stream != id(stream) or not wire.open:
        return
    connection = wire.sheet
    if connection is not None and connection.closed_at is None:
        connection.close_trigger = "gc"
        connection.closed_at = now()
        connection.active_at_close = len(connection.in_flight)
        closed(wire, connection, None)


@guard("httpcore.handshake")
def starting_tls(stream: Any) -> None:
    """A TLS handshake begins."""
    if stream._poolscope is not None:
        handshake_begins(stream._poolscope)


@guard("httpcore.tls")
def started_tls(stream: Any, secured: Any) -> None:
    """``secured`` takes the place of ``stream``."""
    wire: Wire | None = stream._poolscope
    if wire is None:
        return
    if secured is not stream:
        stream._poolscope = None
    trace_stream(secured, wire)
    if wire.sheet is not None:
        note_tls(secured, wire.sheet)
    handshake_ends(wire)
    if setup_is_over(wire):
        opened(wire)


def trace_stream(stream: Any, wire: Wire) -> None:
    """Make ``stream`` the end of ``wire``."""
    traced = ASYNC_STREAMS if hasattr(stream, "aclose") else STREAMS
    if traced.adopt(stream):
        stream._poolscope = wire
        wire.stream = id(stream)


# Streams


def _read(original: Callable[..., Any]) -> Callable[..., Any]:
    def read(self: Any, max_bytes: int, timeout: float | None = None) -> Any:
        try:
            data = original(self, max_bytes, timeout)
        except BaseException as error:
            stream_failed(self, error)
            hide_frame(error)
            raise
        wire = self._poolscope
        if wire is not None and not wire.open:
            wire.touched_at = now()
        if not data:
            stream_ended(self)
        return data

    return read


def _async_read(original: Callable[..., Any]) -> Callable[..., Any]:
    # ASYNC109: the signature is the library's own, which calls it by keyword
    async def read(self: Any, max_bytes: int, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        try:
            data = await original(self, max_bytes, timeout)
        except BaseException as error:
            stream_failed(self, error)
            hide_frame(error)
            raise
        wire = self._poolscope
        if wire is not None and not wire.open:
            wire.touched_at = now()
        if not data:
            stream_ended(self)
        return data

    return read


def _write(original: Callable[..., Any]) -> Callable[..., Any]:
    def write(self: Any, buffer: bytes, timeout: float | None = None) -> Any:
        flight = CURRENT.get()
        head = flight if flight is not None and flight.bound is None else None
        if head is not None:
            writing(self, head)
        try:
            result = original(self, buffer, timeout)
        except BaseException as error:
            stream_failed(self, error)
            hide_frame(error)
            raise
        # The head is never the end: the library sends every request's end by itself, empty as it may be.
        if head is None and flight is not None and flight.bound is self._poolscope:
            written(flight)
        return result

    return write


def _async_write(original: Callable[..., Any]) -> Callable[..., Any]:
    async def write(self: Any, buffer: bytes, timeout: float | None = None) -> Any:  # noqa: ASYNC109  (as above)
        flight = CURRENT.get()
        head = flight if flight is not None and flight.bound is None else None
        if head is not None:
            writing(self, head)
        try:
            result = await original(self, buffer, timeout)
        except BaseException as error:
            stream_failed(self, error)
            hide_frame(error)
            raise
        # The head is never the end: the library sends every request's end by itself, empty as it may be.
        if head is None and flight is not None and flight.bound is self._poolscope:
            written(flight)
        return result

    return write


def _start_tls(original: Callable[..., Any]) -> Callable[..., Any]:
    def start_tls(self: Any, *args: Any, **kwargs: Any) -> Any:
        starting_tls(self)
        try:
            secured = original(self, *args, **kwargs)
        except BaseException as error:
            stream_failed(self, error)
            hide_frame(error)
            raise
        started_tls(self, secured)
        return secured

    return start_tls


def _async_start_tls(original: Callable[..., Any]) -> Callable[..., Any]:
    async def start_tls(self: Any, *args: Any, **kwargs: Any) -> Any:
        starting_tls(self)
        try:
            secured = await original(self, *args, **kwargs)
        except BaseException as error:
            stream_failed(self, error)
            hide_frame(error)
            raise
        started_tls(self, secured)
        return secured

    return start_tls


def _close(original: Callable[..., Any]) -> Callable[..., Any]:
    def close(self: Any) -> None:
        close = closing(self)
        try:
            original(self)
        except BaseException as error:
            hide_frame(error)
            raise
        finally:
            was_closed(STREAMS, self, close)

    return close


def _async_close(original: Callable[..., Any]) -> Callable[..., Any]:
    async def aclose(self: Any) -> None:
        close = closing(self)
        try:
            await original(self)
        except BaseException as error:
            hide_frame(error)
            raise
        finally:
            was_closed(ASYNC_STREAMS, self, close)

    return aclose


def _get_extra_info(original: Callable[..., Any]) -> Callable[..., Any]:
    def get_extra_info(self: Any, info: str) -> Any:
        wire = self._poolscope
        connection = None if wire is None else wire.sheet
        served = None if connection is None or connection.in_flight else connection.requests
        try:
            value = original(self, info)
        except BaseException as error:
            hide_frame(error)
            raise
        if value and info == "is_readable":
            stream_readable(self, served)
        return value

    return get_extra_info


STREAMS: Final = TracedClasses(
    {
        "read": _read,
        "write": _write,
        "start_tls": _start_tls,
        "close": _close,
        "get_extra_info": _get_extra_info,
    },
    finalizer=collected,
)
ASYNC_STREAMS: Final = TracedClasses(
    {
        "read": _async_read,
        "write": _async_write,
        "start_tls": _async_start_tls,
        "aclose": _async_close,
        "get_extra_info": _get_extra_info,
    },
    finalizer=collected,
)

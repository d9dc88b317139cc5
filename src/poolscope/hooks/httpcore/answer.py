"""The answer to a request on an httpcore pool: its headers, and the end of its body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from poolscope.facts import now
from poolscope.hooks import keepalive
from poolscope.hooks.guarding import guard, hide_frame
from poolscope.hooks.httpcore import peek
from poolscope.hooks.httpcore.exchange import class_name, finish, release
from poolscope.hooks.httpcore.queueing import settle_wait
from poolscope.hooks.httpcore.state import CLOSER, Flight
from poolscope.hooks.live import LIVE
from poolscope.hooks.traced import TracedClasses

_VERSIONS: Final = {b"HTTP/1.0": "1.0", b"HTTP/1.1": "1.1", b"HTTP/2": "2"}


@guard("httpcore.answered")
def answered(bodies: TracedClasses, flight: Flight | None, response: Any) -> None:
    """The answer's headers are there; its body is watched from now on."""
    if flight is None:
        return
    sheet = flight.sheet
    sheet.headers_at = now()
    sheet.status = response.status
    settle_wait(flight, now())
    flight.request = flight.holder = flight.sender = None
    extensions = response.extensions
    flight.http_version = extensions.get("http_version", b"")
    flight.answer_headers = response.headers
    wire = flight.wire
    connection = None if wire is None or flight.bound is None else wire.sheet
    if connection is not None:
        connection.last_status = response.status
        connection.http_version = _VERSIONS.get(flight.http_version, connection.http_version)
        if wire is not None and not wire.h2:
            if connection.requests == 1:
                connection.server_keepalive = keepalive.in_headers(response.headers)
            connection.error = None  # a broken pipe while sending, which did not keep the answer from coming
    if LIVE.door is not None and not flight.silent:
        _tell_headers(flight, response)
    body = response.stream
    if bodies.adopt(body):
        body._poolscope = flight
    else:
        release(flight)
        finish(flight, None, None)


@guard("httpcore.live_headers")
def _tell_headers(flight: Flight, response: Any) -> None:
    if LIVE.door is not None:
        LIVE.door.headers_received(flight.sheet, response)


@guard("httpcore.released")
def releasing(body: Any) -> Flight | None:
    """The answer is being closed, read or not: everything is written before the connection passes on."""
    flight: Flight | None = body._poolscope
    if flight is None or flight.over:
        return None
    complete, error = _outcome(body, flight)
    wire = flight.wire
    if wire is not None and wire.flight is flight and not wire.h2 and wire.sheet is not None:
        wire.sheet.body_complete = complete
    release(flight)
    finish(flight, error, complete)
    return flight


def _outcome(body: Any, flight: Flight) -> tuple[bool | None, str | None]:
    if flight.sheet.status == 101:
        return None, flight.sheet.error
    complete = peek.body_was_read(body)
    if complete:
        return True, None
    error = peek.failure_of(body)
    if isinstance(error, GeneratorExit):  # the iterator was let go half way: the program has read enough
        return complete, flight.sheet.error
    return complete, flight.sheet.error if error is None else class_name(error)


@guard("httpcore.leaked")
def leaked(body: Any) -> None:
    """The answer was dropped without a close; its connection stays taken. Runs in the garbage collector."""
    flight: Flight | None = body._poolscope
    if flight is not None and not flight.over:
        complete = None if flight.sheet.status == 101 else peek.body_was_read(body)
        finish(flight, flight.sheet.error, complete)


@guard("httpcore.closed_answer")
def _forget(bodies: TracedClasses, body: Any, flight: Flight | None) -> None:
    if flight is not None:
        flight.answer_headers = flight.request_headers = None
        bodies.give_up(body)


def _close(original: Callable[..., Any]) -> Callable[..., Any]:
    def close(self: Any) -> None:
        flight = releasing(self)
        before = CLOSER.get()
        CLOSER.set("response")
        try:
            original(self)
        except BaseException as error:
            hide_frame(error)
            raise
        finally:
            CLOSER.set(before)
            _forget(BODIES, self, flight)

    return close


def _async_close(original: Callable[..., Any]) -> Callable[..., Any]:
    async def aclose(self: Any) -> None:
        flight = releasing(self)
        before = CLOSER.get()
        CLOSER.set("response")
        try:
            await original(self)
        except BaseException as error:
            hide_frame(error)
            raise
        finally:
            CLOSER.set(before)
            _forget(ASYNC_BODIES, self, flight)

    return aclose


BODIES: Final = TracedClasses({"close": _close}, finalizer=leaked)
ASYNC_BODIES: Final = TracedClasses({"aclose": _async_close}, finalizer=leaked)

"""aiohttp: what we leave on its connectors and connections, and the private names that are read of them.

One event loop owns a connection, so its mark needs no lock. What a connection carries goes with it: nothing but
the connection refers to it.
"""

from __future__ import annotations

import sys
from asyncio import CancelledError
from functools import partial
from types import FrameType
from typing import Any, Final

from poolscope.facts import Connection, Exchange, Pool, RawOrigin
from poolscope.libraries.callsite import LIBRARY, kind_of
from poolscope.libraries.guarding import guard
from poolscope.libraries.marks import mark_on, set_mark
from poolscope.libraries.weaver import WEAVER
from poolscope.story import exchange as story
from poolscope.story.connection import ConnectionMark
from poolscope.story.pool import PoolMark
from poolscope.story.sight import SIGHT, Era

SEEN: Final[list[tuple[Any, ...]]] = []
"""The points to weave on the class of a connector that a program brings."""


class Held:
    """What a connection carries: its mark, and what of the host's we look at while a request is under way."""

    __slots__ = ("mark", "payload", "pool", "timer", "writing")

    def __init__(self, pool: PoolMark) -> None:
        self.mark = ConnectionMark()
        self.pool = pool
        self.payload: Any = None
        """The body of the answer that is being read."""
        self.timer: Any = None
        """That of the call's total time, which cancels its task when it is up."""
        self.writing = False
        """Whether the request under way has a body, which its own task writes."""

    def __repr__(self) -> str:
        return f"<Held {self.mark!r}>"

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()

    def __del__(self) -> None:
        if _collected is not None:  # as all globals may be while the interpreter shuts down
            _collected(self)

    @property
    def exchange(self) -> Exchange | None:
        """The one that it is serving."""
        exchange = self.mark.exchange
        return None if exchange is None or exchange.finished_at is not None else exchange

    def was_read(self) -> bool | None:
        """Whether the answer's body came to its end; None where there is no answer, or another protocol took over."""
        exchange = self.mark.exchange
        if exchange is None or exchange.headers_at is None or exchange.status == 101 or self.payload is None:
            return None
        return bool(self.payload.is_eof())


@guard("aiohttp.collected")
def _collected(held: Held) -> None:
    if held.pool.era.goes_on:
        if held.exchange is not None:
            story.dropped(held.exchange, held.was_read())
        held.mark.collected()


def held_by(protocol: Any) -> Held | None:
    """What a connection carries; None where it is none of our business."""
    held: Held | None = mark_on(protocol)
    return held if held is not None and held.pool.era.goes_on else None


# Connectors


def pool_of(connector: Any, era: Era | None = None) -> PoolMark | None:
    """The mark on a connector, made where everybody is observed; None where it is none of our business."""
    mark: PoolMark | None = mark_on(connector)
    if mark is not None and mark.era.goes_on:
        return mark
    if era is None and not SIGHT.everybody:
        return None
    mark = PoolMark(SIGHT.era if era is None else era)
    set_mark(connector, mark)
    for points in SEEN:
        WEAVER.weave_on_sight(type(connector), points)
    return mark


def observe_connector(connector: Any) -> None:
    """Observe a connector by itself, whatever comes and goes elsewhere."""
    mark = pool_of(connector, SIGHT.own)
    if mark is not None:
        mark.era = SIGHT.own


def sheet_of(mark: PoolMark, connector: Any, client: int | None) -> Pool:
    """The sheet of ``connector``, stated when it is first used."""
    return mark.current(client, partial(_describe, connector))


def _describe(connector: Any, sheet: Pool) -> None:
    sheet.blocking = True
    sheet.max_connections = connector._limit or None
    sheet.keepalive_expiry = connector._keepalive_timeout


def settings_of(connector: Any, request: Any) -> list[Any]:
    """What two sessions must have in common for one to do the other's work."""
    names = ("_ssl", "_family", "_local_addr_infos", "_path", "_force_close", "_socket_factory")
    resolver = getattr(connector, "_resolver", None)
    if getattr(connector, "_resolver_owner", False) or type(resolver).__name__ == "ThreadedResolver":
        resolver = None
    asked = (request.ssl, str(request.proxy), str(request.proxy_auth), str(request.proxy_headers))
    own = [getattr(connector, name, None) for name in names]
    return [type(connector).__qualname__, own, resolver, asked, getattr(request, "server_hostname", None)]


def origin_of(url: Any) -> RawOrigin:
    """(scheme, host, port) of a yarl URL; the scheme's default port is None."""
    return url.scheme, url.raw_host or "", None if url.is_default_port() else url.port


# Errors


def class_name(error: BaseException) -> str:
    """The fully qualified name of an exception's class; builtins without their module."""
    cls = type(error)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def name_on_the_wire(error: BaseException) -> str:
    """The class of what happened on the socket, under the exceptions that aiohttp wrapped it in."""
    while type(error).__module__.startswith("aiohttp") and not isinstance(error, TimeoutError):
        inner = error.__cause__
        if inner is None:
            break
        error = inner
    system = (
        cls
        for cls in type(error).__mro__
        if cls.__module__ == "builtins" and issubclass(cls, ConnectionError)
    )
    return next(system, type(error)).__name__


def timed(timer: Any, error: BaseException) -> BaseException:
    """``error``, or a timeout where ``timer`` has cancelled the task because the call's total time was up."""
    return (
        TimeoutError() if isinstance(error, CancelledError) and getattr(timer, "_cancelled", False) else error
    )


def note_error(sheet: Connection | None, error: BaseException) -> None:
    """Write down what went wrong on a connection, unless that was seen before."""
    if sheet is None or sheet.eof or sheet.error is not None:
        return
    name = name_on_the_wire(error)
    if name == "ServerDisconnectedError":
        sheet.eof = True
    else:
        sheet.error = name


def raised_in(payload: Any) -> BaseException | None:
    """What ended the reading of ``payload``; an exception that merely happens to be handled now did not.

    It is either what aiohttp told the reader, or its traceback passes through a method of this very body.
    """
    known: BaseException | None = payload.exception()
    if (
        known is not None and type(known).__name__ != "ClientConnectionError"
    ):  # what a release tells a late reader
        return known
    error = sys.exc_info()[1]
    for _ in range(10):
        traceback = None if error is None else error.__traceback__
        while traceback is not None:
            if traceback.tb_frame.f_locals.get("self") is payload:
                return error
            traceback = traceback.tb_next
        error = None if error is None else error.__cause__ or error.__context__
    return None


def is_collected(frame: FrameType | None) -> bool:
    """Whether aiohttp's code around ``frame`` runs in a finalizer."""
    while frame is not None and kind_of(frame.f_code.co_filename) == LIBRARY:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False

"""Hooks in a pool: a request asks, may queue, is assigned a connection, may lose it, is answered or fails."""

from __future__ import annotations

import copy
import os
from _thread import RLock  # the real one, whatever gevent has put into threading
from collections.abc import Callable
from operator import itemgetter
from types import FrameType
from typing import Any, Final

from poolscope.facts import Exchange, now
from poolscope.libraries import acquire, keepalive
from poolscope.libraries.guard import guard
from poolscope.libraries.httpcore import errors, names
from poolscope.libraries.httpcore.adopt import adopt_connections, met
from poolscope.libraries.httpcore.marks import AnswerLeash, Pooled, Wire, leave
from poolscope.libraries.httpcore.setup import BACKENDS
from poolscope.libraries.marks import mark_on, set_mark
from poolscope.libraries.point import Point
from poolscope.libraries.weaver import WEAVER
from poolscope.story import exchange as story
from poolscope.story.call import CURRENT_CALL
from poolscope.story.client import ClientFacts
from poolscope.story.door import ENTRANCE
from poolscope.story.exchange import CURRENT
from poolscope.story.sight import SIGHT, Era

# Which pools speak


class Looking:
    """Held while a pool is seen for the first time."""

    lock = RLock()

    @classmethod
    def renew(cls) -> None:
        """In a forked child: another thread may have held the lock."""
        cls.lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Looking.renew)


def mark_of(pool: Any) -> Pooled:
    """The mark on ``pool``, put there when first asked for."""
    with Looking.lock:
        mark: Pooled | None = mark_on(pool)
        if mark is None:
            mark = Pooled(pool)
            set_mark(pool, mark)
        return mark


def _into_sight(pool: Any, era: Era) -> Pooled:
    """Observe ``pool`` and its existing connections from now on; their past is unknown."""
    with Looking.lock:
        mark = mark_of(pool)
        if not mark.era.goes_on:
            WEAVER.weave_on_sight(type(pool._network_backend), BACKENDS)
            mark.sheet = None
            adopt_connections(pool, mark)
        if mark.era != SIGHT.own:
            mark.era = era
        return mark


def observe_pool(pool: Any, name: str | None = None) -> None:
    """Observe only ``pool``, independently of `instrument()`, and name it ``name``."""
    _into_sight(pool, SIGHT.own).is_called(name)


# What happens in them


def asks(pool: Any, request: Any, frames: Callable[[int], FrameType]) -> Exchange | None:
    """A request asks its pool for a connection."""
    mark: Pooled | None = mark_on(pool)
    if mark is None or not mark.era.goes_on:
        if not SIGHT.everybody:
            # It is not observed: what happens below it does not belong to the request that we may be in.
            return None if CURRENT.get() is None else story.follow_silently(("", "", None), None, None)
        mark = _into_sight(pool, SIGHT.era)
    url, asynchronous = request.url, mark.asynchronous
    exchange = acquire.begins(
        mark,
        mark.describes,
        names.origin_of(url),
        request.method,
        url.target,
        frames,
        asynchronous,
    )
    if exchange.silent:
        return exchange
    call = CURRENT_CALL.get()
    if call is not None and call.young is not None:
        _identify(call.young, pool, request)
    if ENTRANCE.door is not None:
        _announce(exchange, request)
    return exchange


@guard("httpcore.identity")
def _identify(client: ClientFacts, pool: Any, request: Any) -> None:
    identity = client.identity
    if not identity.knows("pool", pool):
        identity.is_set_up("pool", *names.settings_of(pool, with_tls=not identity.knows("tls", pool)))
    body = getattr(request.stream, "_stream", None)
    client.sends(request.headers, request.url.target, body)


def _announce(exchange: Exchange, request: Any) -> None:
    added = story.announce(exchange, request)
    if not added:
        return
    instead = [(name.encode("ascii"), value.encode("latin-1")) for name, value in added]
    exchange.instead = copied = _copy_of(request)  # the caller's own object stays as it is
    sizes = set(map(len, map(_NAME, instead)))
    headers = copied.headers
    if not sizes.isdisjoint(map(len, map(_NAME, headers))):  # perhaps one of ours is there
        names_ = [name.lower() for name, _ in instead]
        headers = [item for item in headers if item[0].lower() not in names_]
    copied.headers = [*headers, *instead]


_NAME: Final = itemgetter(0)
_OWN_MODULES: Final = frozenset(("httpcore", "httpcore2"))
_ATTRIBUTES: Final = frozenset(("method", "url", "headers", "stream", "extensions"))


def _copy_of(request: Any) -> Any:
    kind = type(request)
    if kind.__module__ not in _OWN_MODULES or request.__dict__.keys() != _ATTRIBUTES:
        return copy.copy(request)
    # `copy.copy` takes twenty times as long, and the library would read each attribute of its copy more slowly.
    copied = object.__new__(kind)
    copied.method, copied.url, copied.headers = request.method, request.url, request.headers
    copied.stream, copied.extensions = request.stream, request.extensions
    return copied


def queued(waiting: Any) -> Exchange | None:
    """The pool has tried to serve its requests: the current one may have to wait for a connection."""
    exchange = CURRENT.get()
    if exchange is not None and not exchange.queued:
        exchange.queued = waiting.connection is None
    return exchange


def assigned(token: Exchange, result: Any) -> None:
    """The pool hands it a connection, which may yet refuse it."""
    wire: Wire | None = mark_on(result)
    story.assigned(token, _meet(result, token) if wire is None else wire)


def _meet(connection: Any, exchange: Exchange) -> Wire | None:
    """A connection that its pool has just created."""
    mark: Pooled | None = exchange._pool
    pool = None if mark is None else mark.pool()
    return None if mark is None or pool is None else met(connection, pool, mark)


def lost() -> None:
    """The connection was taken by another request, or is gone: back to the pool."""
    exchange = CURRENT.get()
    if exchange is not None:
        if exchange.stream_id is not None and exchange.connection is not None:
            exchange.connection.requests -= 1
        story.lost(exchange)


def failed(token: Exchange, error: BaseException) -> None:
    """There will be no answer."""
    wire: Wire | None = token._mark
    what = errors.seen(error)
    if wire is not None and wire.is_setting_up_for(token):
        wire.setup_failed(names.class_of(error).__name__, what)
    if wire is None:
        story.waited(token, now())
    story.has_stream(token)
    story.failed(token, error, names.class_name(error), what=what)


def answered(token: Exchange, result: Any) -> None:
    """The answer's headers are there; the end of its body will be seen on its stream."""
    version = result.extensions.get("http_version")
    wire: Wire | None = token._mark
    if wire is not None and version == b"HTTP/2":
        wire.heard_settings()
    story.headers(token, result.status, result, names.VERSIONS.get(version))
    connection = token.connection
    if connection is not None and connection.requests == 1 and version != b"HTTP/2":
        connection.server_keepalive, connection.first_length = keepalive.in_headers(result.headers)
    body = result.stream
    if wire is None:
        WEAVER.weave_on_sight(type(body), BODIES)  # a custom pool
    if not leave(body, AnswerLeash(token, getattr(body, "_stream", None))):
        story.ended(token, None)


def releasing(body: Any) -> None:
    """The answer is being closed, read or not: everything is noted before the connection gets its next owner."""
    leash = mark_on(body)
    exchange = leash.exchange if type(leash) is AnswerLeash else None
    if exchange is None:
        return
    inner = leash.inner
    leash.exchange = leash.inner = None
    if exchange.status == 101:
        story.ended(exchange, None, exchange.error)
        return
    progress = names.progress_of(inner)
    if progress == names.KEPT:
        story.ended(exchange, True)
        return
    complete = names.was_read(inner)
    if complete:
        if progress is not None:
            _note_closes(exchange, inner)
        story.ended(exchange, True)
        return
    error = names.failure_of(body)
    if error is None or isinstance(error, GeneratorExit):
        # The iterator was dropped half way: the program has read enough.
        story.ended(exchange, complete, exchange.error)
    else:
        story.ended(exchange, complete, names.class_name(error), what=errors.seen(error))


def _note_closes(exchange: Exchange, inner: Any) -> None:
    """Either side has said that the connection will not be kept: the request, or else the answer."""
    connection = exchange.connection
    if connection is not None:
        request = names.request_of(inner)
        connection.request_closes = request is not None and names.asks_to_close(request.headers)
        connection.answer_closes = True


BODIES: Final = (
    Point("PoolByteStream", "close", before=releasing),
    Point("PoolByteStream", "aclose", before=releasing),
)
"""The hook points of a pool's response streams."""

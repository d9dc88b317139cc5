"""urllib3: an exchange's start, its wait for a connection, and the connection's return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from poolscope.facts import now
from poolscope.hooks import callsite
from poolscope.hooks.calls import CURRENT_CALL, Call
from poolscope.hooks.patching import guard, hide_frame
from poolscope.hooks.suppression import suppressed
from poolscope.hooks.urllib3.state import (
    CURRENT_ATTEMPT,
    Attempt,
    ConnectionState,
    PoolState,
    announce,
    assign,
    begin_exchange,
    end_connection,
    fail,
    finish,
    state_of,
    was_read,
)
from poolscope.queue import FACTS

# A thread that finds a connection in the queue does not wait; what it takes then is bookkeeping.
_NO_WAIT = 0.001


class _Entry(NamedTuple):
    """One pass through ``urlopen``, with what is to be put in its place."""

    attempt: Attempt
    args: Any
    kwargs: Any
    call: Call | None
    """A call that begins here, because the pool is used without a client's."""


def wrap_urlopen(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make each attempt an exchange: urllib3 calls itself again for a retry or a redirect."""

    def urlopen(self: Any, *args: Any, **kwargs: Any) -> Any:
        entry = _attempt_begins(self, args, kwargs)
        if entry is None:
            try:
                return original(self, *args, **kwargs)
            except BaseException as error:
                hide_frame(error)
                raise
        attempt = entry.attempt
        outer, outer_call = CURRENT_ATTEMPT.get(), CURRENT_CALL.get()
        CURRENT_ATTEMPT.set(attempt)
        if entry.call is not None:
            CURRENT_CALL.set(entry.call)
        try:
            response = original(self, *entry.args, **entry.kwargs)
        except BaseException as error:
            _attempt_failed(attempt, error)
            hide_frame(error)
            raise
        finally:
            CURRENT_ATTEMPT.set(outer)
            if entry.call is not None:
                CURRENT_CALL.set(outer_call)
        if not attempt.served:
            _not_ours(attempt, response)
        return response

    return urlopen


@guard("urllib3.urlopen")
def _attempt_begins(pool: Any, args: Any, kwargs: Any) -> _Entry | None:
    outer = CURRENT_ATTEMPT.get()
    if outer is not None and not outer.asked and outer.pool_id == id(pool):
        return None  # a subclass's urlopen calling the base's
    FACTS.relieve()
    state = pool_state(pool)
    if suppressed():
        return _Entry(Attempt(None, id(pool), state), args, kwargs, None)
    method = args[0] if args else kwargs.get("method")
    target = args[1] if len(args) > 1 else kwargs.get("url")
    exchange = begin_exchange(_origin(pool, target), method, target)
    call, opened = _call_of(pool, state)
    call.follow(exchange)
    exchange.pool = state.current(pool, exchange.client).id
    args, kwargs = announce(exchange, args, kwargs, pool.headers)
    return _Entry(Attempt(exchange, id(pool), state), args, kwargs, opened)


def pool_state(pool: Any) -> PoolState:
    """The state of a pool; one without a known client if it was built unobserved."""
    state: PoolState | None = pool._poolscope
    if state is None or state.era != pool._poolscope_era:
        state = vars(pool)["_poolscope"] = PoolState(pool._poolscope_era)
    return state


def _call_of(pool: Any, state: PoolState) -> tuple[Call, Call | None]:
    """The call this attempt belongs to, and the same again if it begins here."""
    client = None if state.client is None else state.client.current(state.era).id
    call: Call | None = CURRENT_CALL.get()
    if call is not None and client in (None, call.client):
        before = call.newest
        if before is None or before.headers_at is not None or before.finished_at is not None:
            return call, None
        client = call.client  # the request's own body is made by another request on the same client
    elif client is None and state.stand_in is not None:
        client = state.stand_in.current(state.era).id
    opened = Call(id(pool), client, callsite.find().user)
    return opened, opened


def _origin(pool: Any, target: Any) -> tuple[Any, Any, Any]:
    if isinstance(target, str) and not target.startswith("/") and "://" in target:
        try:
            parts = urlsplit(target)
            if parts.hostname:
                return parts.scheme, parts.hostname, parts.port
        except ValueError:
            pass  # urllib3 will have its say about such a URL
    return pool.scheme, pool.host, pool.port


@guard("urllib3.urlopen_failed")
def _attempt_failed(attempt: Attempt, error: BaseException) -> None:
    fail(attempt, error, now())


@guard("urllib3.urlopen_unserved")
def _not_ours(attempt: Attempt, response: Any) -> None:
    """Answered by something that is not a connection of urllib3's, as tools that replay answers do."""
    if attempt.exchange is not None and not attempt.over:
        attempt.exchange.status = getattr(response, "status", None)
        finish(attempt, None, now())


def wrap_get_conn(original: Callable[..., Any]) -> Callable[..., Any]:
    """Time the wait for a connection, and see which one it is."""

    def _get_conn(self: Any, *args: Any, **kwargs: Any) -> Any:
        asked = _asks(self)
        try:
            connection = original(self, *args, **kwargs)
        except BaseException as error:
            _got_none(asked)
            hide_frame(error)
            raise
        _got(self, connection, asked)
        return connection

    return _get_conn


@guard("urllib3.get_conn")
def _asks(pool: Any) -> tuple[Attempt | None, float, bool]:
    attempt = CURRENT_ATTEMPT.get()
    if attempt is not None:
        attempt.asked = True
    return attempt, now(), bool(pool.block) and pool.pool is not None and pool.pool.empty()


@guard("urllib3.get_conn_failed")
def _got_none(asked: tuple[Attempt | None, float, bool] | None) -> None:
    attempt, at, queued = asked or (None, 0.0, False)
    if attempt is not None and attempt.exchange is not None:
        attempt.exchange.pool_wait = now() - at if queued else 0.0


@guard("urllib3.get_conn_done")
def _got(pool: Any, connection: Any, asked: tuple[Attempt | None, float, bool] | None) -> None:
    if asked is None or not hasattr(connection, "_poolscope_era"):
        return
    attempt, asked_at, queued = asked
    at = now()
    state = state_of(connection)
    state.pool_state = attempt.pool_state if attempt is not None else pool_state(pool)
    state.fresh = connection.sock is None
    state.attempt = attempt
    state.inside = None
    if attempt is None or attempt.exchange is None:
        return
    attempt.served = True
    exchange = attempt.exchange
    waited = at - asked_at
    exchange.pool_wait = waited if queued or (pool.block and waited > _NO_WAIT) else 0.0
    sheet = state.sheet
    if sheet is not None:
        if sheet.pool is None:
            sheet.pool, sheet.client = exchange.pool, exchange.client
        assign(exchange, sheet, reused=sheet.requests > 0 or state.past_unknown)
        if sheet.idle_since is not None:
            exchange.idle_time = max(at - sheet.idle_since, 0.0)


def wrap_put_conn(original: Callable[..., Any]) -> Callable[..., Any]:
    """See the end of an exchange before the connection may belong to another thread."""

    def _put_conn(self: Any, conn: Any) -> Any:
        _given_back(conn)
        try:
            return original(self, conn)
        except BaseException as error:
            hide_frame(error)
            raise

    return _put_conn


@guard("urllib3.put_conn")
def _given_back(connection: Any) -> None:
    state: ConnectionState | None = getattr(connection, "_poolscope", None)
    if state is None or state.era != connection._poolscope_era:
        return
    at = now()
    attempt, state.attempt = state.attempt, None
    if attempt is not None and attempt.exchange is not None and not attempt.over:
        finish(attempt, was_read(attempt), at)
    sheet = state.sheet
    if sheet is None:
        return
    sheet.idle_since = at
    if state.ending_since is not None:
        state.sheet = None
        end_connection(state, sheet, "response", at)

"""urllib3: an exchange's start, its wait for a connection, and the connection's return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from poolscope.facts import now
from poolscope.hooks import callsite
from poolscope.hooks.calls import CURRENT_CALL, Call
from poolscope.hooks.clients import ClientFacts
from poolscope.hooks.guarding import guard, hide_frame
from poolscope.hooks.urllib3.state import (
    CURRENT_ATTEMPT,
    Attempt,
    ConnectionState,
    PoolState,
    announce,
    assign,
    begin_exchange,
    begin_request,
    end_connection,
    fail,
    finish,
    state_of,
    was_read,
)
from poolscope.libraries.marks import set_mark
from poolscope.queue import FACTS
from poolscope.story.suppression import suppressed

# A thread that finds a connection in the queue does not wait; what it takes then is bookkeeping.
_NO_WAIT = 0.001


def wrap_urlopen(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make each attempt an exchange: urllib3 calls itself again for a retry or a redirect."""

    def urlopen(self: Any, *args: Any, **kwargs: Any) -> Any:
        outer = CURRENT_ATTEMPT.get()
        attempt = _attempt_begins(self, outer, args, kwargs)
        if attempt is None:
            try:
                return original(self, *args, **kwargs)
            except BaseException as error:
                hide_frame(error)
                raise
        CURRENT_ATTEMPT.set(attempt)
        call = attempt.call
        outer_call = None if call is None else CURRENT_CALL.get()
        if call is not None:
            CURRENT_CALL.set(call)
        if attempt.instead is not None:
            args, kwargs = attempt.instead
        try:
            response = original(self, *args, **kwargs)
        except BaseException as error:
            _attempt_failed(attempt, error)
            hide_frame(error)
            raise
        finally:
            CURRENT_ATTEMPT.set(outer)
            if call is not None:
                CURRENT_CALL.set(outer_call)
        if not attempt.served:
            _not_ours(attempt, response)
        return response

    return urlopen


@guard("urllib3.urlopen")
def _attempt_begins(pool: Any, outer: Attempt | None, args: Any, kwargs: Any) -> Attempt | None:
    if outer is not None and not outer.asked and outer.pool_id == id(pool):
        return None  # a subclass's urlopen calling the base's
    FACTS.relieve()
    state = pool_state(pool)
    if suppressed():
        return Attempt(None, id(pool), state)
    method = args[0] if args else kwargs.get("method")
    target = args[1] if len(args) > 1 else kwargs.get("url")
    origin = state.origin
    if origin is None or (type(target) is str and target[:1] != "/"):
        origin = _origin(pool, target)
    exchange = begin_exchange(origin, method, target)
    attempt = Attempt(exchange, id(pool), state)
    call = CURRENT_CALL.get()
    if call is None or state.client is not None or not _may_follow(call):
        call, attempt.call = _call_of(pool, state, call)
    call.follow(exchange)
    if call.young is not None:
        _identify(call.young, pool, target, args, kwargs)
    exchange.pool = state.current(pool, exchange.client).id
    attempt.instead = announce(exchange, args, kwargs, pool.headers)
    return attempt


def pool_state(pool: Any) -> PoolState:
    """The state of a pool; one without a known client if it was built unobserved."""
    state: PoolState | None = pool._poolscope
    if state is None or state.era != pool._poolscope_era:
        state = PoolState(pool._poolscope_era)
        set_mark(pool, state)
    return state


def _may_follow(call: Call) -> bool:
    """Whether nothing else of the call is under way: a request's body may be made by another request."""
    before = call.newest
    return before is None or before.headers_at is not None or before.finished_at is not None


def _call_of(pool: Any, state: PoolState, call: Call | None) -> tuple[Call, Call | None]:
    """The call this attempt belongs to, and the same again if it begins here."""
    client = None if state.client is None else state.client.current(state.era).id
    if call is not None and client in (None, call.client):
        if _may_follow(call):
            return call, None
        client = call.client
    elif client is None and state.stand_in is not None:
        client = state.stand_in.current(state.era).id
    known = state.client or state.stand_in
    young = None if known is None or known.sheet.id != client or known.identity.settled else known
    opened = Call(id(pool), client, callsite.user(3), young)
    return opened, opened


@guard("urllib3.identity")
def _identify(client: ClientFacts, pool: Any, target: Any, args: Any, kwargs: Any) -> None:
    identity = client.identity
    if not identity.knows("pool", pool):
        identity.is_set_up("pool", *_settings(pool))
    headers = (args[3] if len(args) > 3 else kwargs.get("headers")) or pool.headers or {}
    body = args[2] if len(args) > 2 else kwargs.get("body")
    client.sheet.settings = identity.sends(headers.items(), target, body)


_SETTINGS: Final = (
    "ca_certs", "ca_cert_dir", "ca_cert_data", "cert_file", "cert_reqs", "key_file", "key_password", "ssl_context",
    "ssl_version", "ssl_minimum_version", "ssl_maximum_version", "assert_hostname", "assert_fingerprint", "server_hostname",
    "source_address", "socket_options", "_socks_options", "proxy", "proxy_headers", "proxy_config",
)  # fmt: skip
"""What two pools must have in common for one to do the other's work."""


def _settings(pool: Any) -> list[Any]:
    own = pool.conn_kw
    return [own[name] if name in own else getattr(pool, name, None) for name in _SETTINGS]


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

    def _get_conn(self: Any, timeout: Any = None) -> Any:
        attempt = CURRENT_ATTEMPT.get()
        asked = None if attempt is None else _asks(self, attempt)
        try:
            connection = original(self, timeout)
        except BaseException as error:
            _got_none(attempt, asked)
            hide_frame(error)
            raise
        _got(self, connection, attempt, asked)
        return connection

    return _get_conn


@guard("urllib3.get_conn")
def _asks(pool: Any, attempt: Attempt) -> tuple[float, bool] | None:
    """When it asked and whether it has to queue; None where nobody ever waits."""
    attempt.asked = True
    return (now(), pool.pool is not None and pool.pool.empty()) if pool.block else None


@guard("urllib3.get_conn_failed")
def _got_none(attempt: Attempt | None, asked: tuple[float, bool] | None) -> None:
    if attempt is not None and attempt.exchange is not None:
        at, queued = asked or (0.0, False)
        attempt.exchange.pool_wait = now() - at if queued else 0.0


@guard("urllib3.get_conn_done")
def _got(pool: Any, connection: Any, attempt: Attempt | None, asked: tuple[float, bool] | None) -> None:
    if not hasattr(connection, "_poolscope_era"):
        return
    at = now()
    state = state_of(connection)
    state.attempt = attempt
    state.inside = None
    state.awaited = False
    state.fresh = connection.sock is None
    if attempt is None:
        state.pool_state = pool_state(pool)
        return
    state.pool_state = attempt.pool_state
    exchange = attempt.exchange
    if exchange is None:
        return
    attempt.served = True
    exchange.pool_wait = 0.0 if asked is None else _waited(asked, at)
    sheet = state.sheet
    if sheet is not None:
        if sheet.pool is None:
            sheet.pool, sheet.client = exchange.pool, exchange.client
        assign(exchange, sheet, sheet.requests > 0 or state.past_unknown)
        if sheet.idle_since is not None:
            exchange.idle_time = max(at - sheet.idle_since, 0.0)
        begin_request(sheet)
        state.awaited = True


def _waited(asked: tuple[float, bool], until: float) -> float:
    since, queued = asked
    return until - since if queued or until - since > _NO_WAIT else 0.0


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
    attempt, sheet = state.attempt, state.sheet
    if attempt is not None and not attempt.over:
        finish(attempt, was_read(attempt), at)
    if sheet is not None:
        sheet.idle_since = at
        if state.ending_since is not None:
            state.sheet = None
            end_connection(state, sheet, "response", at)
    state.attempt = None

"""urllib3: an exchange's start, its wait for a connection, and the connection's return."""

from __future__ import annotations

from types import FrameType
from typing import Any, Final
from urllib.parse import urlsplit

from poolscope.facts import Connection, Exchange, RawOrigin, now
from poolscope.libraries.marks import mark_on, watched
from poolscope.libraries.point import Point
from poolscope.libraries.urllib3.calls import PoolCall, call_over, current_call
from poolscope.libraries.urllib3.setup import CONNECT
from poolscope.libraries.urllib3.state import (
    CURRENT,
    PoolMark,
    State,
    announced,
    fail,
    given_to,
    gone,
    mark_of_pool,
    note_request,
    was_read,
)
from poolscope.libraries.weaver import WEAVER
from poolscope.queue import FACTS
from poolscope.story import exchange as exchanges
from poolscope.story.call import CURRENT_CALL, Call
from poolscope.story.client import ClientFacts
from poolscope.story.door import ENTRANCE
from poolscope.story.live import LIVE
from poolscope.story.runtime import current_task
from poolscope.story.suppression import suppressed

# A thread that finds a connection in the queue does not wait; what it takes then is bookkeeping.
_NO_WAIT: Final = 0.001

_SETTINGS: Final = (
    "ca_certs", "ca_cert_dir", "ca_cert_data", "cert_file", "cert_reqs", "key_file", "key_password", "ssl_context",
    "ssl_version", "ssl_minimum_version", "ssl_maximum_version", "assert_hostname", "assert_fingerprint", "server_hostname",
    "source_address", "socket_options", "_socks_options", "proxy", "proxy_headers", "proxy_config",
)  # fmt: skip
"""The settings of a pool; pools with equal settings are interchangeable."""


def asks(pool: Any, method: Any, url: Any, body: Any, headers: Any, frame: FrameType) -> Exchange | None:
    """Each pass through ``urlopen`` is an exchange: urllib3 calls itself again for a retry or a redirect."""
    mark: PoolMark | None = watched(pool) or mark_of_pool(pool)
    if mark is None:
        return None
    if suppressed():
        return exchanges.follow_silently(mark.origin, method, url)
    call, begun = _call_of(pool, mark, frame)
    sheet = mark.sheet
    if sheet is None or sheet.epoch != FACTS.epoch:
        sheet = mark.sheet_of(pool, call.client)
    origin = mark.origin
    if type(url) is not str or url[:1] != "/":
        origin = _origin(origin, url)
    exchange = exchanges.asks(origin, method, url, call, None, sheet.id, current_task())
    if begun is not None:
        begun.first = exchange
        CURRENT_CALL.set(begun)
    if headers is None:
        headers = pool.headers
    if call.young is not None:
        _identify(call.young, pool, url, headers, body)
    if ENTRANCE.door is not None:
        exchange.instead = announced(exchange, headers)
    return exchange


def _call_of(pool: Any, mark: PoolMark, frame: FrameType) -> tuple[Call, PoolCall | None]:
    """The call this exchange belongs to, and the same again if it begins here."""
    call = current_call()
    client = None if mark.client is None else mark.client.current().id
    if call is not None and client in (None, call.client):
        if _may_follow(call):
            return call, None
        client = call.client
    elif client is None and mark.stand_in is not None:
        client = mark.stand_in.current().id
    known = mark.client or mark.stand_in
    young = None if known is None or known.sheet.id != client or known.identity.settled else known
    begun = PoolCall(pool, client, frame, young)
    return begun, begun


def _may_follow(call: Call) -> bool:
    """Whether nothing else of the call is under way: a request's body may be made by another request."""
    before = call.newest
    return before is None or before.headers_at is not None or before.finished_at is not None


def _origin(own: RawOrigin, url: Any) -> RawOrigin:
    if isinstance(url, str) and "://" in url:
        try:
            parts = urlsplit(url)
            if parts.hostname:
                return parts.scheme, parts.hostname, parts.port
        except ValueError:
            pass  # urllib3 itself will complain about such a URL
    return own


def _identify(client: ClientFacts, pool: Any, target: Any, headers: Any, body: Any) -> None:
    identity = client.identity
    if not identity.knows("pool", pool):
        own = pool.conn_kw
        settings = [own[name] if name in own else getattr(pool, name, None) for name in _SETTINGS]
        identity.is_set_up("pool", *settings)
    client.sends((headers or {}).items(), target, body)


def answered(token: Exchange, result: Any) -> None:
    """It has an answer, perhaps from a tool that replays answers and not from a connection of urllib3."""
    call_over(token)
    if token.assigned_at is None and token.finished_at is None:
        token.status = getattr(result, "status", None)
        exchanges.ended(token, None)


def failed(token: Exchange, error: BaseException) -> None:
    """It has none."""
    call_over(token)
    fail(token, error)


def queues(pool: Any) -> float | None:
    """When it asks for a connection, and whether it may have to wait: never if the pool has no limit."""
    exchange = CURRENT.get() if pool.block else None
    if exchange is None:
        return None
    exchange.queued = pool.pool is not None and pool.pool.empty()
    return now()


def got(pool: Any, result: Any, token: float | None = None) -> None:
    """It has a connection: note which, and how long it waited."""
    at = now()
    state: State | None = mark_on(result)
    if state is None or state.pool is None or not state.era.goes_on:
        state = _met(pool, result)
        if state is None:
            return
    mark = state.mark
    exchange = CURRENT.get()
    if exchange is not None and exchange.id <= LIVE.since:  # `current_exchange`, without a call
        exchange = None
    mark.exchange = exchange
    state.ready = False
    state.fresh = result.sock is None
    if exchange is None:
        return
    exchange.assigned_at = at
    if token is not None and not exchange.silent:
        LIVE.lent[exchange.id] = exchange
    sheet = mark.sheet
    exchange.pool_wait = 0.0 if token is None else _waited(pool, exchange, sheet, token, at)
    state.ready = sheet is not None
    if sheet is not None:
        if sheet.pool is None:
            sheet.pool, sheet.client = exchange.pool, exchange.client
        mark.taken(exchange)


def _met(pool: Any, connection: Any) -> State | None:
    """A pool's connection is seen for the first time."""
    cls = type(connection)
    mark = mark_of_pool(pool) if hasattr(cls, "_new_conn") else None  # else it is not one of urllib3's
    if mark is None:
        return None
    WEAVER.weave_on_sight(cls, CONNECT)
    state = given_to(connection, mark.era)
    if state is not None:
        state.pool = mark
    return state


def _waited(pool: Any, exchange: Exchange, sheet: Connection | None, since: float, at: float) -> float | None:
    if exchange.queued:
        return at - since
    if at - since <= _NO_WAIT:
        return 0.0
    # The pool was not empty: another thread was quicker, or the machine held this one up, which is no wait.
    if sheet is None or sheet.idle_since is None:
        return None
    if sheet.idle_since <= since:
        return 0.0
    if pool.pool is None or not pool.pool.empty():
        return None  # others were free, too: it came back last and so is first
    exchange.queued = True
    return at - since


def got_none(pool: Any, token: float | None = None) -> None:
    """It waited in vain, or the pool is closed."""
    exchange = CURRENT.get()
    if exchange is not None:
        waited = token is not None and (exchange.queued or pool.pool is not None)
        exchange.queued = waited
        exchange.pool_wait = now() - (token or 0.0) if waited else 0.0


def given_back(_pool: Any, conn: Any) -> None:
    """An exchange is over; seen before the connection may belong to another thread."""
    if conn is None:  # closed already: its slot comes back without it
        _slot_back(CURRENT.get())
        return
    state: State | None = mark_on(conn)
    if state is None or not state.era.goes_on:
        return
    at = now()
    mark = state.mark
    exchange = mark.exchange
    if LIVE.lent:
        _slot_back(exchange)
    if exchange is not None and exchange.finished_at is None:
        exchanges.ended(exchange, was_read(state), None, at)
    sheet = mark.sheet
    if sheet is not None:
        sheet.idle_since = at
        if state.ending_since is None:
            note_request(state, sheet)
        else:
            gone(state, "response", at)
    state.answer = state.headers = mark.exchange = None


def _slot_back(exchange: Exchange | None) -> None:
    if exchange is not None:
        LIVE.lent.pop(exchange.id, None)


_OWNER: Final = "connectionpool.HTTPConnectionPool"

POOL: Final = (
    Point(
        _OWNER,
        "urlopen",
        before=asks,
        after=answered,
        failed=failed,
        var=CURRENT,
        takes=("method", "url", "body", "headers"),
        rewrites="headers",
    ),
    Point(_OWNER, "_get_conn", before=queues, after=got, failed=got_none),
    Point(_OWNER, "_put_conn", before=given_back, takes=("conn",)),
)

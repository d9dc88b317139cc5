"""Every private name of httpcore and httpcore2 that is read, in one place; each read may find nothing.

The names are the same in httpcore 1.0 and httpcore2; where one is missing the answer is None, never a
guess.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from poolscope.facts import DEFAULT_PORTS, Connection, PhaseName, Pool, RawOrigin, Via
from poolscope.libraries.errors import handled_in, name_of
from poolscope.libraries.tls import note_tls as note_tls_of
from poolscope.queue import is_the_hosts

_DEFAULT_PORTS: Final = {scheme.encode(): port for scheme, port in DEFAULT_PORTS.items()}
VERSIONS: Final = {b"HTTP/1.0": "1.0", b"HTTP/1.1": "1.1", b"HTTP/2": "2"}
KEPT: Final = "DONE"
"""h11's state for an answer that was read to its end, on a connection that can be reused."""
READ_TO_END: Final = frozenset((KEPT, "MUST_CLOSE", "CLOSED"))
_ENDED_BY_FLAG: Final = frozenset(("RECV_END_STREAM", "SEND_END_STREAM"))
_UNLIMITED: Final = sys.maxsize
_SETTINGS: Final = (
    "_proxy", "_proxy_url", "_proxy_auth", "_proxy_headers", "_proxy_ssl_context", "_local_address", "_uds",
    "_socket_options", "_http1", "_http2",
)  # fmt: skip


def origin_of(url: Any) -> RawOrigin:
    """(scheme, host, port) of an httpcore URL or Origin; the scheme's default port is None."""
    scheme, port = url.scheme, url.port
    return scheme, url.host, None if port == _DEFAULT_PORTS.get(scheme) else port


def class_of(error: BaseException) -> type[BaseException]:
    """An exception's class; of a group with members of one class, that class."""
    # anyio on trio wraps even the cancellation of a single connect in groups.
    while isinstance(error, BaseExceptionGroup) and len(set(map(type, error.exceptions))) == 1:
        error = error.exceptions[0]
    return type(error)


def class_name(error: BaseException) -> str:
    """The fully qualified name of an exception's class; builtins without their module."""
    return name_of(class_of(error))


# Pools


def describe(pool: Any, sheet: Pool) -> None:
    """Note the limits of ``pool`` on its sheet; None is unlimited."""
    most = getattr(pool, "_max_connections", None)
    idle = getattr(pool, "_max_keepalive_connections", None)
    sheet.max_connections = None if most == _UNLIMITED else most
    sheet.max_idle = None if idle == _UNLIMITED else idle
    sheet.keepalive_expiry = getattr(pool, "_keepalive_expiry", None)
    sheet.blocking = True


def settings_of(pool: Any, with_tls: bool) -> list[Any]:
    """The settings of a pool; pools with equal settings are interchangeable."""
    names = _SETTINGS if not with_tls else (*_SETTINGS, "_ssl_context")
    return [getattr(pool, name, None) for name in names]


def prior_knowledge(pool: Any) -> bool:
    """Whether HTTP/2 is spoken without being negotiated."""
    return bool(getattr(pool, "_http2", False)) and not getattr(pool, "_http1", True)


def idle_in(pool: Any) -> int:
    """How many connections of ``pool`` are idle."""
    return sum(bool(connection.is_idle()) for connection in pool.connections)


def makes_room(pool: Any) -> bool:
    """Whether ``pool`` closes an idle connection, neither stale nor expired, to make room for another. httpcore 1
    counts busy connections as surplus too, so it evicts only if the two limits are equal, when nothing is ever
    surplus. httpcore2 counts only idle ones.
    """
    most = getattr(pool, "_max_connections", None)
    idle = getattr(pool, "_max_keepalive_connections", None)
    if most is None or idle is None:
        return False
    if idle >= most:
        return True
    connections = pool.connections
    if len(connections) < most or not all(hasattr(connection, "can_multiplex") for connection in connections):
        return False
    return bool(sum(1 for connection in connections if connection.is_idle()) < idle)


# Connections of a pool


def remote_origin_of(connection: Any) -> RawOrigin:
    """The origin of a pool's connection, also behind a proxy."""
    origin = getattr(connection, "_remote_origin", None)
    return origin_of(connection._origin if origin is None else origin)


def via_of(connection: Any, pool: Any) -> Via:
    """How a connection reaches its server: directly, through a proxy, or over a unix socket."""
    name = type(connection).__name__.removeprefix("Async")
    if name == "ForwardHTTPConnection":
        return "forward"
    if name == "TunnelHTTPConnection":
        return "tunnel"
    if name == "Socks5Connection":
        return "socks"
    return "uds" if getattr(pool, "_uds", None) is not None else "direct"


def phases_of(connection: Any, via: Via, origin: RawOrigin) -> tuple[PhaseName, ...]:
    """The phases of this connection's setup, in order, by the library's own rules."""
    tls = _tls_phases(connection)
    if via in ("forward", "tunnel"):
        to_proxy = getattr(getattr(connection, "_proxy_origin", None), "scheme", b"http")
        inner = getattr(connection, "_connection", None)  # to the proxy, with a context of its own
        before: tuple[PhaseName, ...] = (
            ("connect", *_tls_phases(inner)) if to_proxy == b"https" else ("connect",)
        )
        return (*before, "proxy_tunnel", *tls) if via == "tunnel" else before  # TLS inside, ws or not
    if via == "socks":
        return ("connect", "proxy_tunnel", *(tls if origin[0] == b"https" else ()))
    return ("connect", *(tls if origin[0] in (b"https", b"wss") else ()))


def _tls_phases(connection: Any) -> tuple[PhaseName, ...]:
    """Without a given context, setup loads the CA certificates itself."""
    return ("tls_context", "tls") if getattr(connection, "_ssl_context", "given") is None else ("tls",)


def protocol_of(connection: Any) -> Any:
    """The HTTP11Connection or HTTP2Connection inside ``connection``, or None while it is being set up."""
    for _ in range(4):
        if getattr(connection, "_connected", True) is False:  # a tunnel still talking to its proxy
            return None
        inner = getattr(connection, "_connection", None)
        if inner is None:
            return connection if hasattr(connection, "_network_stream") else None
        connection = inner
    return None


# Protocols


def speaks_http2(protocol: Any) -> bool:
    """Whether it is an HTTP2Connection."""
    return hasattr(protocol, "_h2_state")


def is_new(protocol: Any) -> bool:
    """Whether the request that is being sent is its first."""
    return getattr(protocol, "_request_count", None) == 1


def max_streams(protocol: Any) -> int | None:
    """How many streams an HTTP2Connection serves at once; 1 before it has heard the server's settings."""
    most: int | None = getattr(protocol, "_max_streams", None)
    return most


def is_taken(semaphore: Any) -> bool:
    """Whether a semaphore of an HTTP2Connection has no stream left."""
    for name in ("_semaphore", "_anyio_semaphore", "_trio_semaphore"):
        real = getattr(semaphore, name, None)
        if real is not None:
            return getattr(real, "value", getattr(real, "_value", None)) == 0
    return False


def heard_goaway(protocol: Any) -> bool:
    """Whether the server informed an HTTP2Connection that it will serve no more requests."""
    return getattr(protocol, "_connection_terminated", None) is not None


def broken_by(protocol: Any) -> BaseException | None:
    """The error that ended an HTTP2Connection's reading or writing."""
    error: BaseException | None = getattr(protocol, "_read_exception", None)
    return getattr(protocol, "_write_exception", None) if error is None else error


def met_the_end(protocol: Any, error: BaseException | None) -> bool:
    """Whether an HTTP11Connection has read no bytes where some were expected."""
    state = getattr(protocol, "_h11_state", None)
    if state is None:
        return False
    if state.trailing_data[1]:
        return True
    # Without an answer httpcore raises before it informs h11.
    unanswered = getattr(state.their_state, "__name__", None) == "SEND_RESPONSE"
    return unanswered and error is not None and class_of(error).__name__ == "RemoteProtocolError"


# Answers


def progress_of(inner: Any) -> str | None:
    """h11's state of the answer that the stream ``inner`` reads; None on HTTP/2."""
    try:
        progress: str = inner._connection._h11_state.their_state.__name__
    except AttributeError:
        return None
    return progress


def was_read(inner: Any) -> bool | None:
    """Whether the answer that the stream ``inner`` reads was read to its end."""
    progress = progress_of(inner)
    return _stream_was_read(inner) if progress is None else progress in READ_TO_END


def _stream_was_read(inner: Any) -> bool | None:
    protocol: Any = getattr(inner, "_connection", None)
    stream_id = getattr(inner, "_stream_id", None)
    h2_state = getattr(protocol, "_h2_state", None)
    if stream_id is None or h2_state is None:
        return None
    if protocol._events.get(stream_id):  # arrived, but never asked for
        return False
    stream = h2_state.streams.get(stream_id)
    closed_by = h2_state._closed_streams.get(stream_id) if stream is None else stream.closed_by
    return getattr(closed_by, "name", None) in _ENDED_BY_FLAG


def request_of(inner: Any) -> Any:
    """The request that the stream ``inner`` reads the answer of."""
    return getattr(inner, "_request", None)


def failure_of(body: Any) -> BaseException | None:
    """The exception being handled right now, if reading ``body`` raised it: it passes through its iteration then."""
    iterate = getattr(type(body), "__aiter__", None) or getattr(type(body), "__iter__", None)
    code = getattr(iterate, "__code__", None)
    return None if code is None else handled_in(body, code)


def asks_to_close(headers: Any) -> bool:
    """Whether a message's headers end the connection after it."""
    return any(name.lower() == b"connection" and b"close" in value.lower() for name, value in headers)


# Streams


def note_tls(stream: Any, connection: Connection) -> None:
    """The negotiated values that the TLS object provides."""
    note_tls_of(stream.get_extra_info("ssl_object"), connection)


def note_addresses(stream: Any, connection: Connection) -> None:
    """The socket's two addresses; a peer that is gone has none."""
    connection.local, connection.peer = _shown_by(stream, "client_addr"), _shown_by(stream, "server_addr")


def socket_of(stream: Any) -> Any:
    """The socket below ``stream``, if it shows one."""
    return _shown_by(stream, "socket")


def _shown_by(stream: Any, name: str) -> Any:
    try:
        return stream.get_extra_info(name)
    except Exception as error:
        if is_the_hosts(error):
            raise
        return None

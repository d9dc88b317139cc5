"""Every private name of httpcore and httpcore2 that is read, in one place; each read may find nothing.

The names are the same in httpcore 1.0 and httpcore2; where one is missing the answer is None, never a
guess.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Final

from poolscope.facts import RawOrigin

DEFAULT_PORTS: Final = {b"http": 80, b"https": 443, b"ws": 80, b"wss": 443}
_READ_TO_END: Final = frozenset(("DONE", "MUST_CLOSE", "CLOSED"))
_SENT: Final = frozenset(("DONE", "MUST_CLOSE", "CLOSED", "MIGHT_SWITCH_PROTOCOL"))
_ENDED_BY_FLAG: Final = frozenset(("RECV_END_STREAM", "SEND_END_STREAM"))
_UNLIMITED: Final = sys.maxsize
_SETTINGS: Final = (
    "_proxy", "_proxy_url", "_proxy_auth", "_proxy_headers", "_proxy_ssl_context", "_local_address", "_uds",
    "_socket_options", "_http1", "_http2",
)  # fmt: skip


def origin_of(url: Any) -> RawOrigin:
    """(scheme, host, port) of an httpcore URL or Origin; the scheme's default port is None."""
    port = url.port
    return url.scheme, url.host, None if port == DEFAULT_PORTS.get(url.scheme) else port


def limits_of(pool: Any) -> tuple[int | None, int | None, float | None]:
    """(max_connections, max_keepalive_connections, keepalive_expiry); None is unlimited."""
    most = getattr(pool, "_max_connections", None)
    idle = getattr(pool, "_max_keepalive_connections", None)
    return (
        None if most == _UNLIMITED else most,
        None if idle == _UNLIMITED else idle,
        getattr(pool, "_keepalive_expiry", None),
    )


def settings_of(pool: Any, with_tls: bool) -> list[Any]:
    """What two pools must have in common for one to do the other's work."""
    names = _SETTINGS if not with_tls else (*_SETTINGS, "_ssl_context")
    return [getattr(pool, name, None) for name in names]


def via_of(connection: Any, pool: Any) -> str:
    """direct, forward, tunnel, socks or uds."""
    name = type(connection).__name__.removeprefix("Async")
    if name == "ForwardHTTPConnection":
        return "forward"
    if name == "TunnelHTTPConnection":
        return "tunnel"
    if name == "Socks5Connection":
        return "socks"
    return "uds" if getattr(pool, "_uds", None) is not None else "direct"


def phases_of(connection: Any, via: str, origin: RawOrigin) -> tuple[str, ...]:
    """The phases of this connection's setup, in order, by the library's own rules."""
    tls = _tls_phases(connection)
    if via in ("forward", "tunnel"):
        to_proxy = getattr(getattr(connection, "_proxy_origin", None), "scheme", b"http")
        inner = getattr(connection, "_connection", None)  # to the proxy, with a context of its own
        before = ("connect", *_tls_phases(inner)) if to_proxy == b"https" else ("connect",)
        return (*before, "proxy_tunnel", *tls) if via == "tunnel" else before  # TLS inside, ws or not
    if via == "socks":
        return ("connect", "proxy_tunnel", *(tls if origin[0] == b"https" else ()))
    return ("connect", *(tls if origin[0] in (b"https", b"wss") else ()))


def _tls_phases(connection: Any) -> tuple[str, ...]:
    """Without a context given, setup loads the CA certificates itself."""
    return ("tls_context", "tls") if getattr(connection, "_ssl_context", "given") is None else ("tls",)


def prior_knowledge(pool: Any) -> bool:
    """Whether HTTP/2 is spoken without being negotiated."""
    return bool(getattr(pool, "_http2", False)) and not getattr(pool, "_http1", True)


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


def heard_goaway(protocol: Any) -> bool:
    """Whether an HTTP2Connection was told that it will not be served any more."""
    return getattr(protocol, "_connection_terminated", None) is not None


def speaks_http2(protocol: Any) -> bool:
    """Whether it is an HTTP2Connection."""
    return hasattr(protocol, "_h2_state")


def remote_origin_of(connection: Any) -> RawOrigin:
    """Where a connection of a pool leads, whatever proxy stands between."""
    origin = getattr(connection, "_remote_origin", None)
    return origin_of(connection._origin if origin is None else origin)


def sender_of(connection: Any) -> Any:
    """What on a connection of a pool knows how far an HTTP/1.1 request was written."""
    return getattr(protocol_of(connection), "_h11_state", None)


def has_sent(sender: Any) -> bool:
    """Whether the whole request was handed to the socket, its body included."""
    return getattr(getattr(sender, "our_state", None), "__name__", None) in _SENT


def body_was_read(body: Any) -> bool | None:
    """Whether the answer behind a pool's response stream was read to its end."""
    inner = getattr(body, "_stream", None)
    protocol: Any = getattr(inner, "_connection", None)
    state = getattr(protocol, "_h11_state", None)
    if state is not None:
        their_state = getattr(state.their_state, "__name__", None)
        return None if their_state is None else their_state in _READ_TO_END
    stream_id = getattr(inner, "_stream_id", None)
    h2_state = getattr(protocol, "_h2_state", None)
    if stream_id is None or h2_state is None:
        return None
    if protocol._events.get(stream_id):  # arrived, but never asked for
        return False
    stream = h2_state.streams.get(stream_id)
    closed_by = h2_state._closed_streams.get(stream_id) if stream is None else stream.closed_by
    return getattr(closed_by, "name", None) in _ENDED_BY_FLAG


def failure_of(body: Any) -> BaseException | None:
    """The exception being handled right now, if reading ``body`` raised it.

    Its traceback then passes through the iteration of this very body; an exception that merely happens to
    be handled where the body is closed does not.
    """
    iterate = getattr(type(body), "__aiter__", None) or getattr(type(body), "__iter__", None)
    code = getattr(iterate, "__code__", None)
    error = sys.exc_info()[1]
    for _ in range(10):
        if error is None or code is None:
            return None
        traceback: TracebackType | None = error.__traceback__
        while traceback is not None:
            frame = traceback.tb_frame
            if frame.f_code is code and frame.f_locals.get("self") is body:
                return error
            traceback = traceback.tb_next
        error = error.__cause__ or error.__context__
    return None


def asks_to_close(headers: Any, version: bytes = b"HTTP/1.1") -> bool:
    """Whether a message's headers end the connection after it."""
    for name, value in headers:
        if len(name) == 10 and name.lower() == b"connection":
            options = value.lower()
            return b"close" in options or (version == b"HTTP/1.0" and b"keep-alive" not in options)
    return version == b"HTTP/1.0"


def makes_room(pool: Any) -> bool:
    """Whether an idle connection that ``pool`` closes, neither stale nor expired, has to go for another.

    httpcore 1 counts busy connections as surplus too, so that it evicts only where the two limits are
    equal; there nothing is ever surplus. httpcore2 counts the idle ones.
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

"""urllib3: the setup of a connection in phases, its outcome, and what the socket says about itself.

The end of DNS and the start of connecting are seen without replacing anything: ``create_connection`` (urllib3's
and PySocks') iterates over ``socket_options`` once per address, after resolving and before connecting.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Final

from poolscope.facts import Connection, PhaseName, RawOrigin, Via, now
from poolscope.libraries import resolver, tls
from poolscope.libraries.point import Point
from poolscope.libraries.resolver import LOOKUPS
from poolscope.libraries.unread import since_answer, since_handshake
from poolscope.libraries.urllib3.errors import has_ended, name_on_the_wire, on_the_wire, seen
from poolscope.libraries.urllib3.state import exchange_on, fail, given_to, gone, state_of
from poolscope.story.connection import Setup
from poolscope.story.suppression import suppressed

CURRENT_SETUP: Final[ContextVar[Setup | None]] = ContextVar("poolscope_urllib3_setup", default=None)
"""The setup of the ``connect`` that is running."""


def begins(connection: Any) -> Setup | None:
    """A connection's setup begins."""
    state = given_to(connection)
    if state is None or state.mark.setup is not None:
        return None
    mark = state.mark
    if mark.sheet is not None:  # connected again without a close, so nothing holds the old socket now
        gone(state, "gc", now())
    exchange = exchange_on(mark)
    if exchange is None and getattr(connection, "_HTTPConnection__state", "Idle") != "Idle":
        return None  # for a request that began unseen: its connection has a past, too
    silent = suppressed() if exchange is None else exchange.silent
    return mark.begins(*place_of(connection), exchange, silent)


def place_of(connection: Any) -> tuple[RawOrigin, Via]:
    """The origin of a connection, and the way to it."""
    via: Via = "direct"
    host, port = connection.host, connection.port
    tunnel = getattr(connection, "_tunnel_host", None)
    if hasattr(connection, "_socks_options"):
        via = "socks"
    elif tunnel:
        host, port, via = tunnel, connection._tunnel_port, "tunnel"
    elif getattr(connection, "proxy", None) is not None:
        via = "forward"
    return ("https" if connection.default_port == 443 else "http", host, port), via


def opened(connection: Any, token: Setup) -> None:
    """Its setup is over."""
    state = state_of(connection)
    if state is not None:
        describe_socket(token.sheet, connection.sock)
        state.mark.opened(now())
        exchange = token.exchange
        if exchange is not None and exchange.finished_at is None:
            state.mark.taken(exchange)


def failed(connection: Any, token: Setup, error: BaseException) -> None:
    """Its setup failed."""
    state = state_of(connection)
    if state is not None:
        token.sheet.eof = has_ended(error)
        state.mark.setup_failed(name_on_the_wire(error), seen(error))
        fail(token.exchange, error)


class _TimedOptions(list[Any]):
    """Socket options that know when they were read; true even when empty, as both readers ask first."""

    def __init__(self, options: Any) -> None:
        super().__init__(options or ())
        self.read_at: list[float] = []

    def __iter__(self) -> Iterator[Any]:
        self.read_at.append(now())
        return super().__iter__()

    def __bool__(self) -> bool:
        return True


class Lookup(resolver.Lookups):
    """A ``_new_conn`` in progress, with poolscope's own socket options, and the lookups made in it."""

    __slots__ = ("began_at", "options", "setup", "timed")

    def __init__(self, setup: Setup, options: Any) -> None:
        super().__init__()
        self.setup = setup
        self.options = options
        self.timed = _TimedOptions(options)
        self.began_at = now()

    def __repr__(self) -> str:
        return f"<Lookup in {self.setup!r}>"

    def over(self, connection: Any, peer: Any = None) -> bool:
        """Give the options back; whether addresses were tried, so that the phase is now ``connect`` or later."""
        connection.socket_options = self.options
        setup, read_at = self.setup, self.timed.read_at
        if not read_at:
            return False
        talks_since = setup.since if setup.phase == "proxy_tunnel" else None
        setup.sheet.attempts = len(read_at)
        setup.sheet.lost_time = read_at[-1] - read_at[0]
        self._note_attempts(talks_since, peer)
        if not _is_address(str(setup.sheet.dns_name)):
            setup.sheet.phases.append(("dns", self.began_at, read_at[0]))
        setup.enters("connect", read_at[0])
        if talks_since is not None and talks_since > read_at[-1]:
            setup.over("proxy_tunnel", talks_since)
        return True

    def _note_attempts(self, until: float | None, peer: Any) -> None:
        """Note which address was tried when."""
        sheet, answers = self.setup.sheet, self[0][2] if self else None
        if answers and not _is_address(str(sheet.dns_name)):
            sheet.answers = resolver.hosts(answers)
        sheet.tried = resolver.in_order(self.timed.read_at, now() if until is None else until, answers, peer)


def _setup_of(connection: Any) -> Setup | None:
    state = state_of(connection)
    return None if state is None else state.mark.setup


def lookup_begins(connection: Any) -> Lookup | None:
    """Separates name resolution from connecting."""
    setup = _setup_of(connection)
    if setup is None or not hasattr(connection, "socket_options"):
        return None
    setup.sheet.dns_name = _host_looked_up(connection)
    lookup = Lookup(setup, connection.socket_options)
    setup.enters("connect", lookup.began_at)
    connection.socket_options = lookup.timed
    return lookup


def _host_looked_up(connection: Any) -> str:
    """The address to connect to; PySocks resolves only the proxy's address, or the origin's much later."""
    socks = getattr(connection, "_socks_options", None)
    return connection.host if socks is None else str(socks.get("proxy_host"))


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def connected(connection: Any, token: Lookup, result: Any) -> None:
    """There is a socket."""
    seen = token.over(connection, _peer(result))
    setup = token.setup
    then: PhaseName = "tls_context" if setup.sheet.origin[0] == "https" else "connect"
    if seen or getattr(result, "family", None) == getattr(socket, "AF_UNIX", -1):
        setup.over(then)
        setup.answered("connect", since_answer(result))
    else:
        setup.enters(then)


def not_connected(connection: Any, token: Lookup, error: BaseException) -> None:
    """There is no socket."""
    if not token.over(connection):
        # Reading the options comes right after the answer: without it there was none, unless a subclass
        # connects in its own way.
        cause = on_the_wire(error)
        token.setup.phase = "dns" if isinstance(cause, socket.gaierror | UnicodeError) else "connect"
    elif type(on_the_wire(error)).__name__ == "SOCKS4Error":  # PySocks connects and negotiates in one call
        token.setup.enters("proxy_tunnel")


def negotiates() -> None:
    """Separates PySocks' exchange with a SOCKS5 proxy from connecting to it: both happen in one ``connect``."""
    setup = CURRENT_SETUP.get()
    if setup is not None:
        setup.enters("proxy_tunnel")


def tunnel_begins(connection: Any) -> Setup | None:
    """A proxy is asked to CONNECT."""
    setup = _setup_of(connection)
    if setup is not None:
        setup.enters("proxy_tunnel")
    return setup


def tunnel_made(connection: Any, token: Setup) -> None:
    """The proxy agreed."""
    token.over("tls_context" if token.sheet.origin[0] == "https" else "connect")
    token.answered("proxy_tunnel", since_answer(connection.sock))


def handshake_begins() -> Setup | None:
    """Separates the TLS handshake from making its context and loading CA certificates before it."""
    setup = CURRENT_SETUP.get()
    if setup is not None:
        setup.sheet.ca_time = tls.loaded_since(setup.since)
        setup.phase = "tls_context"  # a plain connection to a proxy may still speak TLS to it
        setup.over("tls")
    return setup


def handshake_done(token: Setup, result: Any) -> None:
    """It is over; what fails from here on is the check of the certificate."""
    token.over("tls")
    token.answered("tls", since_handshake(result, _ask(result, "version")))


def describe_socket(sheet: Connection, sock: Any) -> None:
    """Note the addresses and TLS parameters of an open socket, as far as they are known."""
    if hasattr(sock, "selected_alpn_protocol"):
        sheet.tls_version = _ask(sock, "version")
        cipher = _ask(sock, "cipher")
        sheet.cipher = cipher[0] if cipher else None
        sheet.alpn = _ask(sock, "selected_alpn_protocol")
        sheet.resumed = getattr(sock, "session_reused", None)
        sock = sock if hasattr(sock, "getpeername") else getattr(sock, "socket", None)  # TLS in TLS
    sheet.local, sheet.peer = _ask(sock, "getsockname"), _peer(sock)
    if getattr(sock, "family", None) == getattr(socket, "AF_UNIX", -1):
        sheet.via = "uds"


def _peer(sock: Any) -> Any:
    """The real peer: PySocks answers with the address behind the proxy."""
    if not hasattr(sock, "get_proxy_peername"):
        return _ask(sock, "getpeername")
    try:
        return socket.socket.getpeername(sock)
    except (OSError, TypeError):
        return None


def _ask(sock: Any, question: str) -> Any:
    try:
        return getattr(sock, question)()
    except (AttributeError, OSError, ValueError):  # closed by the peer already, or not a real socket
        return None


_HTTP: Final = "connection.HTTPConnection"


def _connect_of(owner: str) -> Point:
    return Point(owner, "connect", before=begins, after=opened, failed=failed, var=CURRENT_SETUP)


def _new_conn_of(owner: str) -> Point:
    return Point(owner, "_new_conn", before=lookup_begins, after=connected, failed=not_connected, var=LOOKUPS)


SETUP: Final = (
    _connect_of(_HTTP),
    _connect_of("connection.HTTPSConnection"),
    _new_conn_of(_HTTP),
    Point(_HTTP, "_tunnel", before=tunnel_begins, after=tunnel_made),
    Point("util.ssl_", "_ssl_wrap_socket_impl", before=handshake_begins, after=handshake_done),
)
SOCKS: Final = (
    _new_conn_of("SOCKSConnection"),
    Point("socks.socksocket", "_SOCKS5_request", before=negotiates),
)
CONNECT: Final = SETUP[:1]
"""The hook points that a program's own connection class may override."""

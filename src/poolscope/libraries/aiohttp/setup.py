"""aiohttp: how a connection is set up: a name is looked up, addresses are tried, a proxy is asked, TLS negotiated.

The task that asked sets it up; whatever phase it is in when it gives up is the one that failed. A lookup may be
shared: who waits for another's has that wait as its dns phase.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from poolscope.facts import Connection, Exchange
from poolscope.libraries.aiohttp.state import Held
from poolscope.libraries.marks import mark_on, set_mark
from poolscope.libraries.point import Point
from poolscope.libraries.resolver import is_literal
from poolscope.story import exchange as story
from poolscope.story.connection import Setup

ASKING: Final[ContextVar[Exchange | None]] = ContextVar("poolscope_aiohttp_exchange", default=None)
"""The exchange that asks its connector for a connection."""


class Making(NamedTuple):
    """A connection that is being set up."""

    held: Held
    setup: Setup
    tls_first: bool
    """Whether TLS is spoken to whatever is connected to, which may be a proxy."""


MAKING: Final[ContextVar[Making | None]] = ContextVar("poolscope_aiohttp_setup", default=None)


def _via(connector: Any, request: Any) -> str:
    if getattr(request, "proxy", None) is None:
        return "direct" if getattr(connector, "_path", None) is None else "uds"
    return "tunnel" if request.is_ssl() else "forward"


def creating(connector: Any, req: Any) -> Making | None:
    """A connection is about to be made, for the exchange that asks this very connector."""
    exchange = ASKING.get()
    if exchange is None or exchange._pool is not mark_on(connector):
        return None
    held = Held(exchange._pool)
    story.assigned(exchange, held.mark)
    setup = held.mark.begins(exchange.origin, _via(connector, req), exchange, exchange.silent)
    setup.sheet.keepalive_expiry = connector._keepalive_timeout
    tls = req.is_ssl() if req.proxy is None else req.proxy.scheme == "https"
    return Making(held, setup, tls)


def created(token: Making, result: Any) -> None:
    """It is usable."""
    set_mark(result, token.held)
    if token.setup.sheet.via == "uds":
        token.setup.over("connect")
    describe(token.setup.sheet, result.transport)
    token.held.mark.opened()


def looks_up(connector: Any, host: str, port: int) -> Setup | None:
    """A name is looked up, unless it is an address or was looked up lately."""
    making = MAKING.get()
    if making is None or is_literal(host):
        return None
    making.setup.sheet.dns_name = host
    known, key = connector._cached_hosts, (host, port)
    if connector._use_dns_cache and key in known and not known.expired(key):
        return None
    making.setup.enters("dns")
    return making.setup


def looked_up(token: Setup) -> None:
    """Its addresses are known."""
    token.over("connect")


def connects() -> Making | None:
    """Its addresses are tried: again, where TLS has failed with one of them."""
    making = MAKING.get()
    if making is not None:
        setup = making.setup
        if setup.phase == "tls":
            _, since, _ = setup.sheet.phases.pop()
            setup.enters("connect", since)
        elif not setup.sheet.attempts:
            setup.enters("connect")
    return making


def connected(token: Making) -> None:
    """One of them has answered."""
    token.setup.over("tls" if token.tls_first else "connect")


def tries_address() -> None:
    """One address is tried, perhaps beside others."""
    making = MAKING.get()
    if making is not None:
        sheet = making.setup.sheet
        sheet.attempts = (sheet.attempts or 0) + 1


def secured() -> None:
    """The handshake is over, if there was one."""
    making = MAKING.get()
    if making is not None and making.setup.phase == "tls":
        making.setup.over("connect")


def starting_tls() -> None:
    """The proxy has agreed, and TLS begins behind it."""
    making = MAKING.get()
    if making is not None:
        making.setup.over("tls")


def tunnels(request: Any) -> None:
    """A proxy is asked to CONNECT."""
    making = MAKING.get()
    if making is not None and request.method == "CONNECT":
        making.setup.enters("proxy_tunnel")


def found_open(connector: Any, protocol: Any, exchange: Exchange) -> Held:
    """What a connection carries from now on that was opened before we looked."""
    held = Held(exchange._pool)
    set_mark(protocol, held)
    if exchange.silent:
        return held
    sheet = held.mark.found_open(exchange.origin, "direct", exchange._pool.sheet)
    sheet.keepalive_expiry = connector._keepalive_timeout
    describe(sheet, protocol.transport)
    return held


def describe(sheet: Connection, transport: Any) -> None:
    """Write down addresses and TLS parameters of an open connection, as far as its transport tells them."""
    if transport is None:
        return
    sheet.local, sheet.peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    tls = transport.get_extra_info("ssl_object")
    if tls is not None:
        sheet.tls_version, cipher = tls.version(), tls.cipher()
        sheet.cipher = cipher[0] if cipher else None
        sheet.alpn = tls.selected_alpn_protocol()
        sheet.resumed = getattr(tls, "session_reused", None)


def _create(owner: str) -> Point:
    return Point(owner, "_create_connection", before=creating, after=created, var=MAKING, takes=("req",))


_TCP: Final = "connector.TCPConnector"
_EYEBALLS: Final = "connector.aiohappyeyeballs"
CREATE: Final = _create("connector.BaseConnector")

SETUP: Final = (
    _create(_TCP),
    _create("connector.UnixConnector"),
    Point(_TCP, "_resolve_host", before=looks_up, after=looked_up, takes=("host", "port")),
    Point(_EYEBALLS, "start_connection", before=connects, after=connected),
    Point(f"{_EYEBALLS}.impl", "_connect_sock", before=tries_address),
    Point(_TCP, "_wrap_create_connection", after=secured),
    Point(_TCP, "_start_tls_connection", before=starting_tls, after=secured),
)

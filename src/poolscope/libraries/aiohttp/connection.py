"""aiohttp: the state of a connection, and its setup. The requesting task sets it up; the phase in which it gives up
has failed. A lookup may be shared: the wait for another task's lookup is also a dns phase.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

from poolscope.facts import Exchange, Via, now
from poolscope.libraries import connection_state
from poolscope.libraries.errors import name_on_the_wire, on_the_wire
from poolscope.libraries.marks import mark_on, set_mark
from poolscope.libraries.point import Point
from poolscope.libraries.resolver import is_literal
from poolscope.libraries.tls import note_tls
from poolscope.story import exchange as story
from poolscope.story import failures
from poolscope.story.connection import Setup
from poolscope.story.sight import Era


class State(connection_state.ConnectionState):
    """The state of a connection; one event loop owns it."""

    __slots__ = ("payload", "timer", "tls_first")

    def __init__(self, era: Era, tls_first: bool = False) -> None:
        super().__init__(era)
        self.tls_first = tls_first
        """Whether TLS is spoken to the connected server, which may be a proxy."""
        self.payload: Any = None
        """The body of the answer that is being read."""
        self.timer: Any = None
        """The timer of the call's total time, which cancels its task."""

    def was_read(self) -> bool | None:
        """Whether the answer's body came to its end; None where another protocol took over."""
        exchange, payload = self.mark.exchange, self.payload
        upgraded = exchange is None or exchange.status == 101
        return None if upgraded or payload is None else bool(payload.is_eof())

    def collected(self) -> None:
        """The garbage collector takes the connection and its exchange."""
        if self.exchange is not None:
            story.dropped(self.exchange, self.was_read())
        self.mark.collected()


# Errors

_BAD: Final = ("BadStatusLine", "BadHttpMessage", "BadHttpMethod", "LineTooLong", "InvalidHeader",
               "TransferEncodingError", "ContentLengthError", "HttpProcessingError", "ClientPayloadError")  # fmt: skip
MEANINGS: Final = failures.Meanings({"ServerDisconnectedError": "ended"}, dict.fromkeys(_BAD, "protocol"))


def seen(error: BaseException) -> failures.Seen:
    """What ``error`` means."""
    return failures.seen(on_the_wire(error, "aiohttp"), MEANINGS)


def timed(timer: Any, error: BaseException) -> BaseException:
    """``error``, or a timeout where ``timer`` has cancelled the task because the call's total time was up."""
    is_up = getattr(timer, "_cancelled", False) and type(error).__name__ == "CancelledError"
    return TimeoutError() if is_up else error


def note_error(token: State, error: BaseException) -> None:
    """Note what went wrong on a connection, unless that was seen before."""
    sheet = token.mark.sheet
    if sheet is not None and not sheet.eof and sheet.error is None:
        name = name_on_the_wire(error, "aiohttp")
        sheet.eof = name == "ServerDisconnectedError"
        sheet.error = None if sheet.eof else name


# Setup

ASKING: Final[ContextVar[Exchange | None]] = ContextVar("poolscope_aiohttp_exchange", default=None)
"""The exchange that asks its connector for a connection."""
MAKING: Final[ContextVar[Any]] = ContextVar("poolscope_aiohttp_setup", default=None)
"""The state of the connection that is being set up."""


def under_way() -> Setup | None:
    """The setup that runs in this context."""
    state = MAKING.get()
    return None if state is None else state.mark.setup


def creating(connector: Any, req: Any) -> State | None:
    """A connection is about to be made, for the exchange that asks this very connector."""
    exchange = ASKING.get()
    if exchange is None or exchange._pool is not mark_on(connector):
        return None
    tls, proxy = req.is_ssl(), req.proxy
    state = State(exchange._pool.era, tls if proxy is None else proxy.scheme == "https")
    direct: Via = "uds" if hasattr(connector, "_path") else "direct"
    via: Via = direct if proxy is None else "tunnel" if tls else "forward"
    story.assigned(exchange, state.mark)
    setup = state.mark.begins(exchange.origin, via, exchange, exchange.silent)
    setup.sheet.keepalive_expiry = connector._keepalive_timeout
    return state


def created(token: State, result: Any) -> None:
    """It is usable."""
    if token.mark.setup is not None and token.mark.setup.sheet.via == "uds":
        token.mark.setup.over("connect")
    carries(result, token)
    token.mark.opened()


def carries(protocol: Any, state: State) -> None:
    """Attach ``state`` to ``protocol``; addresses and TLS parameters come from its transport."""
    set_mark(protocol, state)
    sheet, transport = state.mark.sheet, protocol.transport
    if sheet is not None and transport is not None:
        sheet.local, sheet.peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        note_tls(transport.get_extra_info("ssl_object"), sheet)


def looks_up(connector: Any, host: str, port: int) -> Setup | None:
    """A name is looked up, unless it is an address or was looked up lately."""
    setup, known, key = under_way(), connector._cached_hosts, (host, port)
    if setup is not None:
        setup.sheet.dns_name = host
    cached = connector._use_dns_cache and key in known and not known.expired(key)
    if setup is None or is_literal(host) or cached:
        return None
    setup.enters("dns")
    return setup


def looked_up(token: Setup, result: Any) -> None:
    """Its addresses are known."""
    token.sheet.answers = tuple(dict.fromkeys(answer["host"] for answer in result))
    token.over("connect")


def connects() -> Setup | None:
    """Its addresses are tried; again, if TLS failed with one of them."""
    setup = under_way()
    if setup is not None and (setup.phase == "tls" or not setup.sheet.attempts):
        setup.enters("connect", setup.sheet.phases.pop()[1] if setup.phase == "tls" else None)
    return setup


def connected(token: Setup) -> None:
    """One of them has answered."""
    token.over("tls" if MAKING.get().tls_first else "connect")


def trying(addr_info: Any) -> tuple[Setup, Any, float] | None:
    """One address is tried, perhaps beside others."""
    setup = under_way()
    return None if setup is None else (setup, addr_info[4], now())


def tried(token: tuple[Setup, Any, float], error: BaseException | None) -> None:
    """The attempt is over."""
    setup, address, began_at = token
    setup.tried(address, began_at, None if error is None else seen(error))


def starting_tls() -> Setup | None:
    """A proxy has agreed, and TLS begins behind it."""
    setup = under_way()
    if setup is not None:
        setup.over("tls")
    return setup


def secured(token: Setup) -> None:
    """The handshake is over, if there was one."""
    if token.phase == "tls":
        token.over("connect")


def create(owner: str) -> Point:
    """Where the connectors of a class make connections."""
    return Point(owner, "_create_connection", before=creating, after=created, var=MAKING, takes=("req",))


SETUP: Final = (
    create("connector.TCPConnector"),
    create("connector.UnixConnector"),
    Point(
        "connector.TCPConnector", "_resolve_host", before=looks_up, after=looked_up, takes=("host", "port")
    ),
    Point("connector.aiohappyeyeballs", "start_connection", before=connects, after=connected),
    Point("connector.aiohappyeyeballs.impl", "_connect_sock", before=trying, always=tried),
    Point("connector.TCPConnector", "_wrap_create_connection", before=under_way, after=secured),
    Point("connector.TCPConnector", "_start_tls_connection", before=starting_tls, after=secured),
)

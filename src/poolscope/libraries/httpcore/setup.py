"""How a connection is set up: the backend connects, a proxy may be spoken to, TLS takes the stream's place.

The connecting task is the requesting task, so the current exchange shows which connection it is. Its setup follows
a plan of phases that the library's own rules fix beforehand; whatever phase it is in when the task gives up is
the one that failed.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from poolscope.facts import now
from poolscope.libraries import tls
from poolscope.libraries.httpcore import names
from poolscope.libraries.httpcore.close import STREAM_ENDS
from poolscope.libraries.httpcore.errors import seen
from poolscope.libraries.httpcore.marks import Wire, leash_stream, let_go, wire_of
from poolscope.libraries.point import Point
from poolscope.libraries.resolver import LOOKUPS, Lookup, hosts, is_literal
from poolscope.libraries.weaver import WEAVER
from poolscope.story import failures
from poolscope.story.connection import Setup
from poolscope.story.exchange import CURRENT


class Connecting(list[Lookup]):
    """The lookups of the current connect, and its connection."""

    __slots__ = ("literal", "named", "setup", "wire")

    def __init__(self, wire: Wire, setup: Setup, host: Any, port: Any) -> None:
        super().__init__()
        self.wire = wire
        self.setup = setup
        literal = host is not None and is_literal(host)
        self.literal = (host.decode() if isinstance(host, bytes) else host, port) if literal else None
        self.named = host is not None and not literal

    def only_address(self) -> Any:
        """The one address that can have been tried; None where there are several, or what was found is unseen."""
        answers = self[-1][2] if self else None
        return answers[0] if self.named and answers and len(answers) == 1 else self.literal


def connecting(_backend: Any, host: Any, port: Any) -> Connecting | None:
    """The connecting task asks the backend for a stream; a retry goes on with the same sheet."""
    exchange = CURRENT.get()
    wire: Wire | None = None if exchange is None else exchange._mark
    if exchange is None or wire is None or wire.connecting:
        return None
    setup = wire.setup
    if setup is None:
        if wire.sheet is not None and wire.sheet.closed_at is None:
            return None  # set up long ago: this setup belongs to another connection
        setup = wire.begins(wire.origin, wire.via, exchange, exchange.silent)
        _describe(wire, setup)
    sheet = setup.sheet
    sheet.attempts = (sheet.attempts or 0) + 1
    sheet.error = None
    sheet.dns_name = host
    wire.step = 0
    wire.connecting = True
    setup.enters("connect", sheet.setup_started_at if sheet.attempts == 1 else None)
    return Connecting(wire, setup, host, port)


def _describe(wire: Wire, setup: Setup) -> None:
    sheet, mark = setup.sheet, wire.pool
    sheet.keepalive_expiry = getattr(mark.pool(), "_keepalive_expiry", None)
    if mark.client is not None:
        sheet.client = mark.client_id
    if mark.sheet is not None:
        sheet.pool = mark.sheet.id


def not_connected(token: Connecting, error: BaseException) -> None:
    """The backend raised: for each address that it tried, but it does not say which those were."""
    setup, at = token.setup, now()
    token.wire.connecting = False
    _note_lookups(token, at)
    if setup.phase == "connect":
        what = failures.of_attempt(setup.sheet, seen(error))
        setup.sheet.tried.append((token.only_address(), setup.since, at, what))


def connected(token: Connecting, result: Any) -> None:
    """The backend returned a stream."""
    wire, setup, at = token.wire, token.setup, now()
    wire.connecting = False
    _note_lookups(token, at)
    began_at = setup.since
    wire.ends_phase(setup, at)
    watch(result, wire)
    names.note_addresses(result, setup.sheet)
    setup.sheet.tried.append((setup.sheet.peer, began_at, at, None))
    if wire.is_set_up():
        names.note_tls(result, setup.sheet)  # a backend may hand out a stream that is already secured
        wire.is_usable()


def _note_lookups(token: Connecting, at: float) -> None:
    for started_at, ended_at, answers in token if token.named else ():
        found = answers is not None
        token.setup.sheet.phases.append(("dns", started_at, ended_at))
        token.setup.sheet.answers = hosts(answers)
        token.setup.enters("connect" if found else "dns", ended_at if found else at)


def watch(stream: Any, wire: Wire) -> None:
    """``stream`` is the end of ``wire`` from now on."""
    WEAVER.weave_on_sight(type(stream), STREAMS)
    leash_stream(stream, wire)


def loading_certificates() -> Wire | None:
    """The library makes its own TLS context: the previous phases of the plan are over."""
    exchange = CURRENT.get()
    wire: Wire | None = None if exchange is None else exchange._mark
    setup = None if wire is None else wire.setup
    if wire is None or setup is None or setup.exchange is not exchange:
        return None
    if setup.phase == "proxy_tunnel":
        wire.ends_phase(setup)
    if setup.phase != "tls_context":
        return None
    setup.enters("tls_context")
    return wire


def loaded_certificates(token: Wire) -> None:
    """It has its context."""
    setup = token.setup
    if setup is not None:
        setup.sheet.ca_time = tls.loaded_since(setup.since)
        token.ends_phase(setup)


class Handshake(NamedTuple):
    """A TLS handshake of a setup."""

    wire: Wire
    setup: Setup


def starting_tls(stream: Any) -> Handshake | None:
    """A TLS handshake begins: what came before in the plan is over."""
    wire = wire_of(stream)
    setup = None if wire is None else wire.setup
    if wire is None or setup is None:
        return None
    for before in ("proxy_tunnel", "tls_context"):
        if setup.phase == before:
            wire.ends_phase(setup)
    setup.enters("tls")
    return Handshake(wire, setup)


def started_tls(stream: Any, token: Handshake, result: Any) -> None:
    """``result`` takes the place of ``stream``."""
    wire, setup = token
    if result is not stream:
        let_go(stream)
        watch(result, wire)
    names.note_tls(result, setup.sheet)
    wire.ends_phase(setup)
    if wire.is_set_up():
        wire.is_usable()


BACKENDS: Final = (
    Point("NetworkBackend", "connect_tcp", before=connecting, after=connected, failed=not_connected,
          var=LOOKUPS, takes=("host", "port")),
    Point("NetworkBackend", "connect_unix_socket", before=connecting, after=connected, failed=not_connected,
          var=LOOKUPS),
)  # fmt: skip
"""On the class of a pool's backend."""

STREAMS: Final = (
    *STREAM_ENDS,
    Point("NetworkStream", "start_tls", before=starting_tls, after=started_tls),
)
"""On the classes of the streams that it hands out."""

CONTEXTS: Final = tuple(
    Point(f"{style}.{module}", "default_ssl_context", before=loading_certificates, after=loaded_certificates,
          missing_ok=True)
    for style in ("_sync", "_async")
    for module in ("connection", "http_proxy", "socks_proxy")
)  # fmt: skip
"""Where a connection without a TLS context makes one."""

"""The setup of a connection: the backend connects, a proxy may answer, and TLS replaces the stream.

The connecting task is the requesting task, so the current exchange shows which connection it is. Its setup follows
a plan of phases that the library's own rules fix beforehand; the phase in which the task gives up has failed.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from poolscope.facts import Connection, now
from poolscope.libraries import tls
from poolscope.libraries.httpcore import names
from poolscope.libraries.httpcore.close import STREAM_ENDS
from poolscope.libraries.httpcore.errors import seen
from poolscope.libraries.httpcore.marks import Wire, leash_stream, let_go, wire_of
from poolscope.libraries.point import Point
from poolscope.libraries.resolver import LOOKUPS, Attempt, Lookups, hosts, in_order, is_literal
from poolscope.libraries.unread import since_answer, since_handshake
from poolscope.libraries.weaver import WEAVER
from poolscope.story import failures
from poolscope.story.connection import Setup
from poolscope.story.exchange import CURRENT


class Connecting(Lookups):
    """The lookups of the current connect, and its connection."""

    __slots__ = ("literal", "named", "setup", "wire")

    def __init__(self, wire: Wire, setup: Setup, host: Any, port: Any) -> None:
        super().__init__()
        self.wire = wire
        self.setup = setup
        literal = host is not None and is_literal(host)
        self.literal = (host.decode() if isinstance(host, bytes) else host, port) if literal else None
        self.named = host is not None and not literal

    def answers(self) -> Any:
        """The addresses that can have been tried; None where what was found is unseen."""
        if self.literal is not None:
            return (self.literal,)
        return self[-1][2] if self and self.named else None


def connecting(_backend: Any, host: Any, port: Any) -> Connecting | None:
    """The connecting task asks the backend for a stream; a retry goes on with the same sheet."""
    exchange = CURRENT.get()
    wire: Wire | None = None if exchange is None else exchange._mark
    if exchange is None or wire is None or wire.connecting or not wire.pool.era.goes_on:
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
    """The backend raised: no address answered."""
    setup, at = token.setup, now()
    token.wire.connecting = False
    _note_lookups(token, at)
    if setup.phase == "connect":
        _note_attempts(token, at, seen(error))


def connected(token: Connecting, result: Any) -> None:
    """The backend returned a stream."""
    wire, setup, at = token.wire, token.setup, now()
    wire.connecting = False
    _note_lookups(token, at)
    began_at = setup.since
    wire.ends_phase(setup, at)
    if setup.loop is None:
        setup.answered("connect", since_answer(names.socket_of(result)))
    watch(result, wire)
    names.note_addresses(result, setup.sheet)
    _note_attempts(token, at, None, began_at)
    if wire.is_set_up():
        names.note_tls(result, setup.sheet)  # a backend may hand out a stream that is already secured
        wire.is_usable()


def _note_lookups(token: Connecting, at: float) -> None:
    for started_at, ended_at, answers in token if token.named else ():
        found = answers is not None
        token.setup.sheet.phases.append(("dns", started_at, ended_at))
        token.setup.sheet.answers = hosts(answers)
        token.setup.enters("connect" if found else "dns", ended_at if found else at)


def _note_attempts(
    token: Connecting, at: float, error: failures.Seen | None, since: float | None = None
) -> None:
    """State which addresses were tried, until one answered or ``error`` came."""
    sheet = token.setup.sheet
    why = None if error is None else failures.of_attempt(sheet, error)
    if token.tried:
        _note_seen(token.tried, sheet, error)
    elif token.began:
        peer = sheet.peer if error is None else None
        sheet.tried += in_order(token.began, at, token.answers(), peer)
        sheet.tried[-1] = (*sheet.tried[-1][:3], why)
        sheet.lost_time = token.began[-1] - token.began[0]
    else:  # one call of the backend's, which keeps to itself what it tries
        only = token.answers() if error is not None else (sheet.peer,)
        address = only[0] if only and len(only) == 1 else None
        sheet.tried.append((address, token.setup.since if since is None else since, at, why))
    sheet.attempts = (sheet.attempts or 1) + max(len(token.tried), len(token.began), 1) - 1


def _note_seen(tried: list[Attempt], sheet: Connection, error: failures.Seen | None) -> None:
    """Of those that were tried side by side, what was given up at the end shares its reason, if none answered."""
    first = min(each.began_at for each in tried)
    for address, began_at, ended_at, what in sorted(tried, key=lambda each: each.began_at):
        given_up = what is not None and what.kind == "cancelled"
        reason = error if given_up else what
        sheet.tried.append(
            (address, began_at, ended_at, None if reason is None else failures.of_attempt(sheet, reason))
        )
        if what is None:
            sheet.lost_time = began_at - first


def watch(stream: Any, wire: Wire) -> None:
    """``stream`` is the outermost stream of ``wire`` from now on."""
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
    if setup.loop is None:
        setup.answered("tls", since_handshake(names.socket_of(result), setup.sheet.tls_version))
    if wire.is_set_up():
        wire.is_usable()


BACKENDS: Final = (
    Point("NetworkBackend", "connect_tcp", before=connecting, after=connected, failed=not_connected,
          var=LOOKUPS, takes=("host", "port")),
    Point("NetworkBackend", "connect_unix_socket", before=connecting, after=connected, failed=not_connected,
          var=LOOKUPS),
)  # fmt: skip
"""The hook points of a backend's class."""

STREAMS: Final = (
    *STREAM_ENDS,
    Point("NetworkStream", "start_tls", before=starting_tls, after=started_tls),
)
"""The hook points of the classes of its streams."""

CONTEXTS: Final = tuple(
    Point(f"{style}.{module}", "default_ssl_context", before=loading_certificates, after=loaded_certificates,
          missing_ok=True)
    for style in ("_sync", "_async")
    for module in ("connection", "http_proxy", "socks_proxy")
)  # fmt: skip
"""The hook point where a connection makes its own TLS context."""

"""Spans of the time before a request could be sent: waiting in the pool, setting a connection up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from opentelemetry.trace import Span, SpanContext, Status, StatusCode, Tracer, set_span_in_context

from poolscope.facts import Connection, Exchange, Failure, PhaseName, RawOrigin, now
from poolscope.ledger.urls import text
from poolscope.signals import errors, names, table
from poolscope.signals.describe import Attributes, all_facts, call_site, peer, server_attributes
from poolscope.signals.limit import Limit
from poolscope.signals.options import Options
from poolscope.signals.pools import queue_of
from poolscope.signals.redaction import server

BUSY: Final = 0.01
"""Seconds from which on a span has the time in which the program itself was busy."""


class SetupSpans:
    """Makes these spans, as far as the options want them."""

    def __init__(self, tracer: Tracer, options: Options) -> None:
        self._tracer = tracer
        self._successes = options.setup_spans in ("full", "some")
        self._failures = options.setup_spans != "off"
        self._limit = Limit() if options.setup_spans == "some" else None
        self._long = options.span_names == "dotnet"

    def __repr__(self) -> str:
        return f"<SetupSpans by {self._tracer!r}>"

    def setup(
        self, parent: Span, connection: Connection, anchor: int, origin: RawOrigin
    ) -> SpanContext | None:
        """Make the span of a setup for ``origin`` that succeeded or failed, with its phases, under ``parent``.

        ``anchor`` is epoch ns at 0. Both ends are given explicitly, so nothing stays open when the setup is cut short.
        """
        failure = errors.of_setup(connection)
        started, ended = _span_of(connection)
        if not (self._failures if failure is not None else self._tells(ended)):
            return None
        attributes = server_attributes(origin)
        attributes[names.URL_SCHEME] = text(origin[0]) or ""
        attributes.update(all_facts(connection))
        attributes.update(call_site(connection))
        attributes.update(_busy(sum(connection.busy.values())))
        if failure is not None:
            attributes[names.ERROR_TYPE] = failure.type
        span = self._tracer.start_span(
            self._named("setup", errors.place(*server(origin))),
            context=set_span_in_context(parent),
            attributes=attributes,
            start_time=anchor + int(started * 1e9),
        )
        if span.is_recording():
            self._phases(span, connection, failure, anchor)
            if failure is not None:
                span.set_status(_status(failure, connection))
        span.end(end_time=anchor + int(ended * 1e9))
        context = span.get_span_context()
        return context if context.is_valid else None

    def _tells(self, at: float) -> bool:
        return self._successes and (self._limit is None or self._limit.allows(at))

    def _phases(self, span: Span, connection: Connection, failure: Failure | None, anchor: int) -> None:
        within = set_span_in_context(span)
        for part in sorted((*_attempts(connection, failure), *_parts(connection, failure)), key=_begun):
            child = self._tracer.start_span(
                self._named(part.phase, part.detail),
                context=within,
                attributes=part.about,
                start_time=anchor + int(part.begun * 1e9),
            )
            if part.broke is not None:
                child.set_status(
                    Status(StatusCode.ERROR, errors.sentence(part.broke, connection.origin, part.phase))
                )
            child.end(end_time=anchor + int(part.over * 1e9))

    def wait(self, parent: Span, exchange: Exchange, anchor: int, failure: Failure | None) -> None:
        """Make the span of a wait of ``pool_wait`` seconds in the pool's queue."""
        if not (self._successes if failure is None else self._failures):
            return
        attributes = {**server_attributes(exchange.origin), **queue_of(exchange)}
        if failure is not None:
            attributes[names.ERROR_TYPE] = failure.type
        start, connection = exchange.started_at, exchange.connection
        if exchange.joined and connection is not None and connection.opened_at is not None:
            start = max(
                start, connection.opened_at
            )  # it asked for a stream after the setup of another request
        span = self._tracer.start_span(
            self._named("wait", errors.place(*server(exchange.origin))),
            context=set_span_in_context(parent),
            attributes=attributes,
            start_time=anchor + int(start * 1e9),
        )
        if failure is not None:
            span.set_status(Status(StatusCode.ERROR, errors.sentence(failure, exchange.origin)))
        span.end(end_time=anchor + int((start + (exchange.pool_wait or 0.0)) * 1e9))

    def _named(self, kind: str, detail: str | None) -> str:
        name = _NAMES.get(kind, kind)
        return f"{name} {detail}" if self._long and detail else name


class _Part(NamedTuple):
    """A span within a setup: a phase, or an address tried."""

    phase: str
    begun: float
    over: float
    about: Attributes
    detail: str | None
    broke: Failure | None


def _begun(part: _Part) -> float:
    return part.begun


def _parts(connection: Connection, failure: Failure | None) -> Iterator[_Part]:
    """The phases; without ``connect`` if each address tried has its own span."""
    last = len(connection.phases) - 1
    for index, (phase, begun, over) in enumerate(connection.phases):
        if phase == "connect" and connection.tried:
            continue
        about, detail = _phase(phase, connection, to_proxy=_speaks_to_proxy(connection, index))
        broke = failure if connection.failed_phase == phase and index == last else None
        if broke is not None:
            about[names.ERROR_TYPE] = errors.of_lookup(broke) if phase == "dns" else broke.type
        if sum(name == phase for name, _, _ in connection.phases) == 1:  # else nobody knows in which of them
            about.update(_busy_in(connection, phase, over - begun))
        yield _Part(phase, begun, over, about, detail, broke)


def _attempts(connection: Connection, failure: Failure | None) -> Iterator[_Part]:
    """Every address tried, and every retry; if the setup failed while connecting, the last attempt has its error."""
    last = len(connection.tried) - 1
    for index, (address, begun, over, what) in enumerate(connection.tried):
        about, detail = _place(peer(address) or (_connected_to(connection) if index == last else {}))
        broke = failure if what is None and index == last and connection.failed_phase == "connect" else what
        if broke is not None:
            about[names.ERROR_TYPE] = broke.type
            broke = _of_proxy(connection, broke, about)
        if last == 0:  # else nobody knows in which of them
            about.update(_busy_in(connection, "connect", over - begun))
        yield _Part("connect", begun, over, about, detail, broke)


def _of_proxy(connection: Connection, broke: Failure, about: Attributes) -> Failure:
    """Behind a proxy, an address that did not answer is the proxy's."""
    name = connection.dns_name or about.get(names.PEER_ADDRESS)
    if connection.via in (None, "direct", "uds") or not isinstance(name, bytes | str):
        return broke
    port = about.get(names.PEER_PORT)
    return broke._replace(proxy=(name, port if isinstance(port, int) else None))


def _busy_in(connection: Connection, phase: PhaseName, took: float) -> Attributes:
    """How long the program itself was busy in a part of ``phase`` that took so many seconds."""
    return {} if phase == "tls_context" else _busy(min(connection.busy.get(phase, 0.0), took))


def _busy(seconds: float) -> Attributes:
    return {names.BUSY_TIME: seconds} if seconds >= BUSY else {}


def _place(about: Attributes) -> tuple[Attributes, str | None]:
    address = about.get(names.PEER_ADDRESS)
    return about, None if address is None else errors.place(address, about.get(names.PEER_PORT))


_NAMES: Final = {kind: span.name for kind, span in table.SPANS.items()}


def _status(failure: Failure, connection: Connection) -> Status:
    return Status(StatusCode.ERROR, errors.sentence(failure, connection.origin, connection.failed_phase))


def _span_of(connection: Connection) -> tuple[float, float]:
    """Start and end of the setup; taken from the phases if they were not noted."""
    phases = connection.phases
    ended = connection.opened_at
    if ended is None:
        ended = connection.closed_at
    if ended is None:
        ended = phases[-1][2] if phases else now()
    started = connection.setup_started_at
    if started is None:
        started = phases[0][1] if phases else ended
    return started, ended


def _speaks_to_proxy(connection: Connection, index: int) -> bool:
    """Whether the phase at ``index`` concerns the proxy, not the server behind it."""
    if connection.via == "forward":
        return True
    before = (phase for phase, _, _ in connection.phases[:index])
    return connection.via == "tunnel" and "proxy_tunnel" not in before


def _connected_to(connection: Connection) -> Attributes:
    """The peer; if the connect failed, the requested address, unless a name had to be looked up."""
    about = peer(connection.peer)
    asked = text(connection.dns_name)
    if about or connection.via != "direct" or asked is None or not _ADDRESS.fullmatch(asked):
        return about
    return peer((asked, server(connection.origin)[1] or 0))


_ADDRESS: Final = re.compile(r"[0-9.]+|[0-9a-fA-F.]*:[0-9a-fA-F:.]+")


def _phase(phase: str, connection: Connection, *, to_proxy: bool) -> tuple[Attributes, str | None]:
    """Attributes of a phase's span, and .NET's addition to its name. Behind a proxy the name looked up is the
    proxy's.
    """
    if phase == "dns":
        asked = text(connection.dns_name)
        about: Attributes = {} if asked is None else {names.DNS_NAME: asked}
        if connection.answers:
            about[names.DNS_ANSWERS] = connection.answers
        return about, asked
    if phase == "connect":
        return _place(_connected_to(connection))
    if phase == "proxy_tunnel":
        return server_attributes(connection.origin), errors.place(*server(connection.origin))
    if phase == "tls":
        host = server(connection.origin)[0]
        if to_proxy:
            host = text(connection.dns_name) or host
        about = {names.SERVER_ADDRESS: host}
        if connection.tls_version and not (to_proxy and connection.via == "tunnel"):
            about[names.TLS_PROTOCOL_NAME] = "tls"
            about[names.TLS_PROTOCOL_VERSION] = connection.tls_version.removeprefix("TLSv")
        return about, host
    return {}, None

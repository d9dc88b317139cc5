"""The spans of what happened before a request could be sent: waiting in the pool, setting a connection up."""

from __future__ import annotations

from typing import Any

from opentelemetry.trace import Span, SpanContext, Status, StatusCode, Tracer, set_span_in_context

from poolscope.facts import Connection, Exchange, Failure, now
from poolscope.ledger.urls import text
from poolscope.signals import errors, names
from poolscope.signals.describe import Attributes, connection_facts, peer
from poolscope.signals.redaction import server


def setup_span(tracer: Tracer, parent: Span, connection: Connection, anchor: int) -> SpanContext:
    """Tell a setup that succeeded or failed, with its phases, under ``parent``; ``anchor`` is epoch ns at 0.

    Both ends are given explicitly, so nothing stays open when the setup is cut short.
    """
    host, port = server(connection.origin)
    failed = connection.failed_phase
    attributes = _server(host, port)
    attributes[names.URL_SCHEME] = text(connection.origin[0]) or ""
    attributes.update(connection_facts(connection))
    failure = errors.of_setup(connection)
    if failure is not None:
        attributes[names.ERROR_TYPE] = failure.type
    started, ended = _span_of(connection)
    span = tracer.start_span(
        f"HTTP connection_setup {host}:{port}",
        context=set_span_in_context(parent),
        attributes=attributes,
        start_time=anchor + int(started * 1e9),
    )
    if span.is_recording():
        within = set_span_in_context(span)
        last = len(connection.phases) - 1
        for index, (phase, begun, over) in enumerate(connection.phases):
            name, about = _phase(phase, connection, host, port)
            broke = failure if failed == phase and index == last else None
            if broke is not None:
                about[names.ERROR_TYPE] = errors.of_lookup(broke) if phase == "dns" else broke.type
            child = tracer.start_span(
                name, context=within, attributes=about, start_time=anchor + int(begun * 1e9)
            )
            if broke is not None:
                child.set_status(_status(broke, connection))
            child.end(end_time=anchor + int(over * 1e9))
        if failure is not None:
            span.set_status(_status(failure, connection))
    span.end(end_time=anchor + int(ended * 1e9))
    return span.get_span_context()


def _status(failure: Failure, connection: Connection) -> Status:
    return Status(StatusCode.ERROR, errors.sentence(failure, connection.origin, connection.failed_phase))


def wait_span(tracer: Tracer, parent: Span, exchange: Exchange, anchor: int, failure: Failure | None) -> None:
    """Tell that ``exchange`` waited ``pool_wait`` seconds in the pool's queue."""
    host, port = server(exchange.origin)
    attributes = _server(host, port)
    if failure is not None:
        attributes[names.ERROR_TYPE] = failure.type
    start = exchange.started_at
    span = tracer.start_span(
        f"HTTP wait_for_connection {host}:{port}",
        context=set_span_in_context(parent),
        attributes=attributes,
        start_time=anchor + int(start * 1e9),
    )
    if failure is not None:
        span.set_status(Status(StatusCode.ERROR, errors.sentence(failure, exchange.origin)))
    span.end(end_time=anchor + int((start + (exchange.pool_wait or 0.0)) * 1e9))


def _server(host: str, port: int | None) -> Attributes:
    return (
        {names.SERVER_ADDRESS: host}
        if port is None
        else {names.SERVER_ADDRESS: host, names.SERVER_PORT: port}
    )


def _span_of(connection: Connection) -> tuple[float, float]:
    """Start and end of the setup; phases stand in where one of them was not written down."""
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


def _phase(phase: str, connection: Connection, host: str, port: int | None) -> tuple[str, Attributes]:
    """Name and attributes of a phase's span. Behind a proxy the name looked up is the proxy's."""
    if phase == "dns":
        asked = text(connection.dns_name)
        return ("DNS lookup", {}) if asked is None else (f"DNS lookup {asked}", {names.DNS_NAME: asked})
    if phase == "connect":
        about: dict[str, Any] = peer(connection.peer)
        at = about.get(names.PEER_ADDRESS)
        if at is None:
            return "socket connect", about
        return (
            f"socket connect {at}:{about[names.PEER_PORT]}"
            if names.PEER_PORT in about
            else f"socket connect {at}",
            about,
        )
    if phase == "proxy_tunnel":
        return f"HTTP proxy_tunnel {host}:{port}", _server(host, port)
    if phase == "tls":
        about = {names.SERVER_ADDRESS: host}
        if connection.tls_version:
            about[names.TLS_PROTOCOL_NAME] = "tls"
            about[names.TLS_PROTOCOL_VERSION] = connection.tls_version.removeprefix("TLSv")
        return f"TLS client handshake {host}", about
    return "TLS context" if phase == "tls_context" else phase, {}

"""A connection's facts as attributes, made once per connection and shared by all its spans."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from poolscope.call_site import is_file
from poolscope.facts import Connection, Exchange, Failure, RawOrigin
from poolscope.ledger.urls import text
from poolscope.signals import names
from poolscope.signals.redaction import server
from poolscope.story.live import LIVE

Attributes = dict[str, Any]
HUNDREDTHS: Final = 2
"""Decimals."""
WORTH_TELLING: Final = 0.1
"""A lean span has the idle time if it is at least this many seconds: keep-alive times are seconds."""


class Constant(NamedTuple):
    """The constant facts of a connection, remembered on its sheet."""

    lean: Attributes
    """The facts on every request's span."""
    full: Attributes
    """The facts on its setup span."""


def server_attributes(origin: RawOrigin) -> Attributes:
    """The server of a request or a connection."""
    host, port = server(origin)
    if port is None:
        return {names.SERVER_ADDRESS: host}
    return {names.SERVER_ADDRESS: host, names.SERVER_PORT: port}


def peer(raw: Any) -> Attributes:
    """The socket's peer."""
    if isinstance(raw, tuple | list) and len(raw) >= 2:
        address = str(raw[0])
        attributes: Attributes = {names.PEER_ADDRESS: address, names.PEER_PORT: int(raw[1])}
        attributes[names.NETWORK_TYPE] = "ipv6" if ":" in address else "ipv4"
        return attributes
    path = text(raw) if isinstance(raw, bytes | str) else None
    return {names.PEER_ADDRESS: path, names.TRANSPORT: "unix"} if path else {}


def tls(connection: Connection) -> Attributes:
    """The results of the TLS handshake; empty for a plain connection."""
    attributes: Attributes = {}
    if connection.tls_version:
        attributes[names.TLS_PROTOCOL_NAME] = "ssl" if connection.tls_version.startswith("SSL") else "tls"
        attributes[names.TLS_PROTOCOL_VERSION] = connection.tls_version.removeprefix("TLSv").removeprefix(
            "SSLv"
        )
    if connection.cipher:
        attributes[names.TLS_CIPHER] = connection.cipher
    if connection.resumed is not None:
        attributes[names.TLS_RESUMED] = connection.resumed
    if connection.alpn:
        attributes[names.TLS_NEXT_PROTOCOL] = connection.alpn
    return attributes


def _constant(connection: Connection) -> Constant:
    full: Attributes = {
        names.CONNECTION_ID: connection.id,
        **peer(connection.peer),
        **tls(connection),
    }
    if connection.via is not None:
        full[names.VIA] = connection.via
    if connection.http_version is not None:
        full[names.PROTOCOL_VERSION] = connection.http_version
    constant = Constant({key: full[key] for key in names.LEAN if key in full}, full)
    if connection.http_version is not None:
        connection.live = constant  # it is constant from now on
    return constant


def all_facts(connection: Connection) -> Attributes:
    """All constant facts of the connection."""
    constant: Constant = connection.live or _constant(connection)
    return constant.full


def call_site(connection: Connection) -> Attributes:
    """The line that built the connection's client: the program's own, else its SDK's."""
    client = None if connection.client is None else LIVE.clients.get(connection.client)
    site = None if client is None else client.call_site or client.sdk_call_site
    if site is None:
        return {}
    code, line = site
    about: dict[str, str | int] = {names.CODE_FUNCTION: code.co_qualname, names.CODE_LINE: line}
    if is_file(code.co_filename):
        about[names.CODE_FILE] = code.co_filename
    return about


def unconnected_facts(exchange: Exchange, failure: Failure | None) -> Attributes:
    """The facts of a request that never got a connection."""
    attributes: Attributes = {}
    if exchange.pool_wait:
        attributes[names.WAIT_TIME] = exchange.pool_wait
    if failure is not None and failure.connection is not None:
        attributes[names.CONNECTION_ID] = failure.connection
    return attributes


def exchange_facts(exchange: Exchange, connection: Connection, *, lean: bool) -> Attributes:
    """The observed facts of a request's connection, for the request's span.

    A lean span has the idle time in hundredths of a second, if it is at least a tenth: finer digits are noise,
    which cannot be compressed.
    """
    constant: Constant = connection.live or _constant(connection)
    attributes = (constant.lean if lean else constant.full).copy()
    if exchange.reused is not None:
        attributes[names.REUSED] = exchange.reused
    if exchange.request_number is not None:
        attributes[names.REQUEST_NUMBER] = exchange.request_number
    if exchange.idle_time is not None and (not lean or exchange.idle_time >= WORTH_TELLING):
        attributes[names.IDLE_TIME] = round(exchange.idle_time, HUNDREDTHS) if lean else exchange.idle_time
    if exchange.pool_wait or (not lean and exchange.pool_wait is not None):
        attributes[names.WAIT_TIME] = exchange.pool_wait
    if exchange.joined:
        attributes[names.JOINED] = True
    if connection.http_version == "2":
        _add_streams(attributes, exchange, connection, lean)
    if not lean:
        _add_times(attributes, exchange, connection)
    return attributes


def _add_streams(attributes: Attributes, exchange: Exchange, connection: Connection, lean: bool) -> None:
    attributes[names.STREAMS] = len(connection.in_flight)
    # The server says it after the setup, so the first request has it, and each request that had to wait for a stream.
    if connection.max_streams is not None and (exchange.pool_wait or not lean or exchange.reused is False):
        attributes[names.MAX_STREAMS] = connection.max_streams


def _add_times(attributes: Attributes, exchange: Exchange, connection: Connection) -> None:
    headers_at, sent_at = exchange.headers_at, exchange.sent_at
    at = headers_at or exchange.finished_at
    if at is not None and connection.opened_at is not None and at >= connection.opened_at:
        attributes[names.AGE] = at - connection.opened_at
    if sent_at is not None:
        begun = exchange.assigned_at
        if connection.opened_by == exchange.id and connection.opened_at is not None:
            begun = connection.opened_at
        if begun is not None and sent_at >= begun:
            attributes[names.SEND_TIME] = sent_at - begun
        if headers_at is not None:
            attributes[names.ANSWER_TIME] = headers_at - sent_at

"""A connection's facts as attributes, made once per connection and shared by every span that tells them."""

from __future__ import annotations

from typing import Any

from poolscope.facts import Connection, Exchange
from poolscope.ledger.urls import text
from poolscope.signals import names

Attributes = dict[str, Any]


def peer(raw: Any) -> Attributes:
    """Whom the socket says it is connected to."""
    if isinstance(raw, tuple | list) and len(raw) >= 2:
        address = str(raw[0])
        told: Attributes = {names.PEER_ADDRESS: address, names.PEER_PORT: int(raw[1])}
        told[names.NETWORK_TYPE] = "ipv6" if ":" in address else "ipv4"
        return told
    path = text(raw) if isinstance(raw, bytes | str) else None
    return {names.PEER_ADDRESS: path, names.TRANSPORT: "unix"} if path else {}


def tls(connection: Connection) -> Attributes:
    """What was agreed on in the handshake; nothing for a plain connection."""
    told: Attributes = {}
    if connection.tls_version:
        told[names.TLS_PROTOCOL_NAME] = "ssl" if connection.tls_version.startswith("SSL") else "tls"
        told[names.TLS_PROTOCOL_VERSION] = connection.tls_version.removeprefix("TLSv").removeprefix("SSLv")
    if connection.cipher:
        told[names.TLS_CIPHER] = connection.cipher
    if connection.resumed is not None:
        told[names.TLS_RESUMED] = connection.resumed
    if connection.alpn:
        told[names.TLS_NEXT_PROTOCOL] = connection.alpn
    return told


def connection_facts(connection: Connection) -> Attributes:
    """What stays true for the connection's whole life, remembered on its sheet once it is complete."""
    told: Attributes | None = connection.live
    if told is None:
        told = {names.CONNECTION_ID: connection.id, **peer(connection.peer), **tls(connection)}
        if connection.via is not None:
            told[names.VIA] = connection.via
        if connection.http_version is not None:
            told[names.PROTOCOL_VERSION] = connection.http_version
            connection.live = told
    return told


def exchange_facts(exchange: Exchange, connection: Connection) -> Attributes:
    """What a request's span is told about the connection it got, as far as it was observed."""
    told = connection_facts(connection).copy()
    if exchange.reused is not None:
        told[names.REUSED] = exchange.reused
    if exchange.joined:
        told[names.JOINED] = True
    if exchange.request_number is not None:
        told[names.REQUEST_NUMBER] = exchange.request_number
    if exchange.idle_time is not None:
        told[names.IDLE_TIME] = exchange.idle_time
    if exchange.pool_wait is not None:
        told[names.WAIT_TIME] = exchange.pool_wait
    at = exchange.headers_at or exchange.finished_at
    if at is not None and connection.opened_at is not None and at >= connection.opened_at:
        told[names.AGE] = at - connection.opened_at
    return told

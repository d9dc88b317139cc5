"""Connections that a pool opened before the hooks went in: observed from now on, their past unknown."""

from __future__ import annotations

from typing import Any

from poolscope.facts import Connection
from poolscope.hooks.httpcore import peek
from poolscope.hooks.httpcore.describe import note_addresses, note_tls
from poolscope.hooks.httpcore.state import PoolState, Wire
from poolscope.hooks.httpcore.stream import trace_stream
from poolscope.libraries.marks import mark_on
from poolscope.queue import FACTS


def adopt_connections(library: Any, pool: Any, state: PoolState) -> None:
    """Take over what ``pool`` holds already, once in each era of the hooks."""
    if state.era == library.era:
        return
    if not state.explicit or state.era == -1:
        state.sheet = None
        for connection in pool.connections:
            wire: Wire | None = mark_on(connection)
            if wire is None or wire.era != library.era:
                _adopt(library, pool, state, connection)
    state.era = library.era


def _adopt(library: Any, pool: Any, state: PoolState, connection: Any) -> None:
    protocol = peek.protocol_of(connection)
    if protocol is None:
        return  # still being set up by a request that nobody watches
    classes = library.async_connections if hasattr(connection, "aclose") else library.connections
    if not classes.adopt(connection):
        return
    wire = Wire(connection, pool, peek.remote_origin_of(connection), library.era)
    sheet = wire.sheet = Connection(wire.origin, FACTS.epoch)
    sheet.via = wire.via
    sheet.client = state.client_id
    sheet.keepalive_expiry = peek.limits_of(pool)[2]
    wire.open = True
    wire.numbered = False
    wire.h2 = peek.speaks_http2(protocol)
    if wire.h2:
        sheet.http_version = "2"
    stream = protocol._network_stream
    trace_stream(stream, wire)
    note_addresses(stream, sheet)
    note_tls(stream, sheet)
    connection._poolscope = wire

"""Connections that were set up unobserved: observed from now on, their past unknown."""

from __future__ import annotations

from typing import Any

from poolscope.facts import Connection
from poolscope.libraries.httpcore import names
from poolscope.libraries.httpcore.close import CONNECTIONS
from poolscope.libraries.httpcore.marks import Pooled, Wire
from poolscope.libraries.httpcore.setup import watch
from poolscope.libraries.weaver import WEAVER


def met(connection: Any, pool: Any, mark: Pooled) -> Wire:
    """A mark for a connection of ``pool`` that has none."""
    WEAVER.weave_on_sight(type(connection), CONNECTIONS)
    return Wire(connection, pool, mark)


def adopt_connections(pool: Any, mark: Pooled) -> None:
    """Observe the existing connections of ``pool``."""
    for connection in pool.connections:
        protocol = names.protocol_of(connection)
        if protocol is not None:  # else still being set up by an unobserved request
            found(met(connection, pool, mark), protocol)


def found(wire: Wire, protocol: Any) -> Connection:
    """``protocol`` speaks on a socket that was opened unseen."""
    sheet = wire.found_open(wire.origin, wire.via, wire.pool.sheet)
    sheet.client = wire.pool.client_id
    sheet.keepalive_expiry = getattr(wire.pool.pool(), "_keepalive_expiry", None)
    wire.is_met(protocol)
    stream = protocol._network_stream
    watch(stream, wire)
    names.note_addresses(stream, sheet)
    names.note_tls(stream, sheet)
    return sheet

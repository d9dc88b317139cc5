"""Why a connection was closed, and by whom: a conclusion drawn from what hooks saw, at drain time.

Who called close (`Connection.close_trigger`) and what was first seen wrong are separate observations. A
reason names the cause; ``closed_by`` names who ended it.

Triggers, stated by hooks:

- ``checkout``: taken out of the pool and found dropped (urllib3 ``_get_conn``)
- ``checkin``: given back to a pool that was full (urllib3 ``_put_conn``)
- ``checkin_closed``: given back to a pool that was closed (urllib3 ``_put_conn``)
- ``maintenance``: closed by the pool's own housekeeping (httpcore)
- ``mistake``: closed by that housekeeping in spite of a request running on it (httpcore)
- ``eviction``: closed by the pool to make room for another connection (httpcore)
- ``client``: the client, session, pool or manager was closed by the program
- ``manager_eviction``: its pool fell out of the manager's ``num_pools`` newest (urllib3)
- ``response``: closed together with a response, read or not
- ``exchange``: closed by the library because the exchange failed
- ``excess``: closed because something came after its answer that nobody had asked for
- ``gc``: nobody called close; the garbage collector took it
- ``program``: the program itself closed it, past the pool
"""

from __future__ import annotations

from typing import Final, get_args

from poolscope.facts import Connection
from poolscope.records import ClosedBy, CloseReason

REASONS: Final[tuple[CloseReason, ...]] = get_args(CloseReason)
"""Every close reason; docs/report.md has a sentence for each."""

SERVER: Final = "server"
CLIENT: Final = "client"
NETWORK: Final = "network"
COLLECTOR: Final = "gc"

_WHILE_IDLE: Final = frozenset(("checkout", "client", "gc", "manager_eviction"))
"""Triggers that close a connection which http.client had kept, although its request had asked to close it."""
_BY_TRIGGER: Final[dict[str | None, tuple[CloseReason, ClosedBy]]] = {
    "manager_eviction": ("pool_evicted", CLIENT),
    "program": ("program_close", CLIENT),
    "checkout": ("server_closed_idle", SERVER),
    "checkin": ("pool_full", CLIENT),
    "checkin_closed": ("pool_closed", CLIENT),
    "eviction": ("evicted_max_connections", CLIENT),
    "mistake": ("closed_under_request", CLIENT),  # a race in httpcore's pool: encode/httpcore#1110
}
"""Triggers that say it all."""
_RESETS: Final = ("ConnectionResetError", "BrokenPipeError", "ConnectionAbortedError")
_PROTOCOL: Final = ("RemoteProtocolError", "LocalProtocolError", "BadStatusLine", "InvalidChunkLength",
                    "LineTooLong", "InvalidHeader", "HTTPException", "UnknownProtocol", "BadHttpMessage",
                    "BadHttpMethod", "TransferEncodingError", "ContentLengthError", "HttpProcessingError")  # fmt: skip


def classify(connection: Connection) -> tuple[CloseReason, ClosedBy | None]:
    """(close reason, closed by) of a connection that was closed."""
    trigger = connection.close_trigger
    if connection.request_closes and not connection.active_at_close and trigger in _WHILE_IDLE:
        return "connection_close_header", (COLLECTOR if trigger == "gc" else CLIENT)
    if trigger == "gc":
        return ("gc_active" if connection.active_at_close else "gc"), COLLECTOR
    if trigger == "client":
        if connection.readable_at is not None:  # nothing had checked it before
            return "server_closed_idle", SERVER
        return ("client_close_active" if connection.active_at_close else "client_close"), CLIENT
    if trigger in _BY_TRIGGER:
        return _BY_TRIGGER[trigger]
    if connection.goaway:
        return "http2_goaway", SERVER
    if trigger == "maintenance":
        return _maintenance(connection)
    return _with_exchange(connection)


def _maintenance(connection: Connection) -> tuple[CloseReason, ClosedBy | None]:
    idle_since, closed_at, expiry = connection.idle_since, connection.closed_at, connection.keepalive_expiry
    if connection.error is not None or connection.eof:
        return _with_exchange(connection)  # a broken connection that housekeeping swept up later
    if (
        expiry is not None
        and idle_since is not None
        and closed_at is not None
        and closed_at - idle_since > expiry
    ):
        return "keepalive_expired", CLIENT
    if connection.readable_at is not None:
        return "server_closed_idle", SERVER
    return "max_keepalive_surplus", CLIENT


def _with_exchange(connection: Connection) -> tuple[CloseReason, ClosedBy | None]:
    if connection.eof and connection.last_status is None:
        return "server_closed_no_response", SERVER
    if connection.last_status == 101 and connection.error is None:
        return "upgraded", (SERVER if connection.eof else CLIENT)
    unread = connection.body_complete is False
    if connection.eof and (unread or not (connection.body_complete or connection.answer_closes)):
        return "server_closed_mid_body", SERVER
    if connection.error is not None:
        return _error(connection.error)
    if unread:
        return "response_not_read", CLIENT
    if connection.request_closes:  # the answer only agrees
        return "connection_close_header", CLIENT
    if connection.answer_closes:
        return ("http_1_0" if connection.http_version == "1.0" else "connection_close_header"), SERVER
    if connection.http_version == "2":
        return "http2_goaway", SERVER
    return ("protocol_error", SERVER) if connection.close_trigger == "excess" else ("unknown", None)


def _error(name: str) -> tuple[CloseReason, ClosedBy]:
    if "Timeout" in name or name == "timeout":
        return "timeout", CLIENT
    if "Cancel" in name or name == "GeneratorExit":
        return "cancelled", CLIENT
    if name in _RESETS or name in ("ReadError", "WriteError"):
        return "reset", NETWORK
    if name in ("RemoteDisconnected", "IncompleteRead"):
        return (
            "server_closed_no_response" if name == "RemoteDisconnected" else "server_closed_mid_body"
        ), SERVER
    if name in _PROTOCOL:
        return "protocol_error", SERVER
    return "exchange_failed", CLIENT

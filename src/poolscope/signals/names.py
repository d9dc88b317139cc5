"""Every name that leaves this process through OpenTelemetry, in one table.

``source`` says who defined a name: ``semconv`` (the semantic conventions, stable), ``semconv-dev`` (there,
in development), ``dotnet`` (only their .NET documents have it) or ``poolscope``. tools/registry.py writes the
directory semconv/ of the repository from this table and the one of `poolscope.signals.table`, in the format that
OpenTelemetry's weaver reads. Conventions: https://github.com/open-telemetry/semantic-conventions, v1.44.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SCOPE: Final = "poolscope"
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"


class Attribute(NamedTuple):
    """One attribute: its type as the conventions call it, and who defined it."""

    type: str
    source: str
    brief: str
    examples: tuple[str, ...] = ()


METHOD: Final = "http.request.method"
METHOD_ORIGINAL: Final = "http.request.method_original"
RESEND_COUNT: Final = "http.request.resend_count"
STATUS: Final = "http.response.status_code"
STATE: Final = "http.connection.state"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
URL_FULL: Final = "url.full"
URL_SCHEME: Final = "url.scheme"
ERROR_TYPE: Final = "error.type"
PEER_ADDRESS: Final = "network.peer.address"
PEER_PORT: Final = "network.peer.port"
PROTOCOL_VERSION: Final = "network.protocol.version"
TRANSPORT: Final = "network.transport"
NETWORK_TYPE: Final = "network.type"
TLS_PROTOCOL_NAME: Final = "tls.protocol.name"
TLS_PROTOCOL_VERSION: Final = "tls.protocol.version"
TLS_CIPHER: Final = "tls.cipher"
TLS_RESUMED: Final = "tls.resumed"
TLS_NEXT_PROTOCOL: Final = "tls.next_protocol"
DNS_NAME: Final = "dns.question.name"
DNS_ANSWERS: Final = "dns.answers"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
CODE_FUNCTION: Final = "code.function.name"
CODE_FILE: Final = "code.file.path"
CODE_LINE: Final = "code.line.number"
CONNECTION_ID: Final = "poolscope.connection.id"
REUSED: Final = "poolscope.connection.reused"
JOINED: Final = "poolscope.connection.joined"
REQUEST_NUMBER: Final = "poolscope.connection.request_number"
IDLE_TIME: Final = "poolscope.connection.idle_time"
AGE: Final = "poolscope.connection.age"
STREAMS: Final = "poolscope.connection.streams"
MAX_STREAMS: Final = "poolscope.connection.max_streams"
VIA: Final = "poolscope.connection.via"
ROUTE: Final = "poolscope.served.route"
REQUESTS: Final = "poolscope.connection.requests"
CLOSE_REASON: Final = "poolscope.connection.close_reason"
CLOSED_BY: Final = "poolscope.connection.closed_by"
WAIT_TIME: Final = "poolscope.pool.wait_time"
WAITED_FOR: Final = "poolscope.pool.waited_for"
POOL_NAME: Final = "poolscope.pool.name"
SEND_TIME: Final = "poolscope.request.send_time"
ANSWER_TIME: Final = "poolscope.request.answer_time"
EXCHANGES: Final = "poolscope.exchange.count"
PHASE: Final = "poolscope.setup.phase"
BUSY_TIME: Final = "poolscope.setup.busy_time"
CLIENT_KIND: Final = "poolscope.client.kind"
CLOSE_KIND: Final = "poolscope.client.close_kind"
FINDING_CODE: Final = "poolscope.finding.code"
FINDING_COUNT: Final = "poolscope.finding.count"
FINDING_COST: Final = "poolscope.finding.cost"
FINDING_SAVING: Final = "poolscope.finding.saving"
FINDING_FIX: Final = "poolscope.finding.fix"
HOOK: Final = "poolscope.hook.name"
WITHHELD: Final = "poolscope.event.withheld"

ATTRIBUTES: Final[dict[str, Attribute]] = {
    METHOD: Attribute("string", "semconv", "HTTP request method; _OTHER for an unknown one."),
    METHOD_ORIGINAL: Attribute("string", "semconv", "The method as the client sent it, where it is _OTHER."),
    RESEND_COUNT: Attribute("int", "semconv", "Ordinal of the resend, for whatever reason it happened."),
    STATUS: Attribute("int", "semconv", "HTTP response status code."),
    STATE: Attribute("string", "semconv-dev", "active or idle."),
    SERVER_ADDRESS: Attribute("string", "semconv", "Host the request is for; not the proxy's."),
    SERVER_PORT: Attribute("int", "semconv", "Port the request is for."),
    URL_FULL: Attribute("string", "semconv", "The URL, without userinfo and signature values."),
    URL_SCHEME: Attribute("string", "semconv", "http or https."),
    ERROR_TYPE: Attribute(
        "string", "semconv", "What went wrong, in the words of a closed list, or the status code."
    ),
    PEER_ADDRESS: Attribute(
        "string", "semconv", "What the socket says of its peer; a proxy's address behind one."
    ),
    PEER_PORT: Attribute("int", "semconv", "The peer's port."),
    PROTOCOL_VERSION: Attribute("string", "semconv", "1.0, 1.1 or 2, as spoken."),
    TRANSPORT: Attribute("string", "semconv", "unix for a unix socket; absent for TCP."),
    NETWORK_TYPE: Attribute("string", "semconv", "ipv4 or ipv6."),
    TLS_PROTOCOL_NAME: Attribute("string", "semconv-dev", "tls."),
    TLS_PROTOCOL_VERSION: Attribute("string", "semconv-dev", "Version of TLS: 1.2, 1.3."),
    TLS_CIPHER: Attribute("string", "semconv-dev", "The cipher that was agreed on."),
    TLS_RESUMED: Attribute("boolean", "semconv-dev", "Whether an earlier TLS session was resumed."),
    TLS_NEXT_PROTOCOL: Attribute("string", "semconv-dev", "What ALPN agreed on."),
    DNS_NAME: Attribute("string", "semconv-dev", "The name looked up."),
    DNS_ANSWERS: Attribute("string[]", "semconv-dev", "The addresses found."),
    EXCEPTION_TYPE: Attribute("string", "semconv", "Fully qualified class of the exception."),
    EXCEPTION_MESSAGE: Attribute(
        "string", "semconv", "What the system says of the error; never the exception's own text."
    ),
    CODE_FUNCTION: Attribute("string", "semconv", "Function of the call site."),
    CODE_FILE: Attribute("string", "semconv", "File of the call site."),
    CODE_LINE: Attribute("int", "semconv", "Line of the call site."),
    CONNECTION_ID: Attribute("int", "poolscope", "Number of the connection, unique in its process."),
    REUSED: Attribute("boolean", "poolscope", "Whether the connection was ready before this request came."),
    JOINED: Attribute(
        "boolean", "poolscope", "Whether this HTTP/2 request waited for a setup begun by another."
    ),
    ROUTE: Attribute(
        "string",
        "poolscope",
        "Method and route of the request that the program served meanwhile: GET /cart/{id}.",
        ("GET /cart/{id}",),
    ),
    REQUEST_NUMBER: Attribute("int", "poolscope", "Place of the request on its connection, from 1."),
    IDLE_TIME: Attribute("double", "poolscope", "Seconds the connection was idle before this request."),
    AGE: Attribute("double", "poolscope", "Seconds since the connection was opened."),
    VIA: Attribute("string", "poolscope", "direct, forward, tunnel, socks or uds.", ("direct", "tunnel")),
    STREAMS: Attribute(
        "int",
        "poolscope",
        "Requests in flight on this HTTP/2 connection when the headers came, this one included.",
    ),
    WAITED_FOR: Attribute(
        "string",
        "poolscope",
        "stream, if a request waited for a stream of its HTTP/2 connection and not for the connection.",
        ("stream",),
    ),
    MAX_STREAMS: Attribute(
        "int",
        "poolscope",
        "Requests that this HTTP/2 connection serves at once: the server's limit, or the library's own lower one.",
    ),
    REQUESTS: Attribute("int", "poolscope", "Requests the connection served."),
    CLOSE_REASON: Attribute(
        "string", "poolscope", "Why the connection was closed.", ("server_closed_idle", "client_close")
    ),
    CLOSED_BY: Attribute("string", "poolscope", "client, server, network or gc.", ("server", "gc")),
    WAIT_TIME: Attribute(
        "double", "poolscope", "Seconds in the pool's queue, connection setup not included."
    ),
    POOL_NAME: Attribute("string", "poolscope", "What the program calls the pool.", ("billing",)),
    SEND_TIME: Attribute(
        "double", "poolscope", "Seconds from having the connection to the last byte of the request sent."
    ),
    ANSWER_TIME: Attribute(
        "double", "poolscope", "Seconds from the last byte of the request sent to the response headers."
    ),
    EXCHANGES: Attribute(
        "int",
        "poolscope",
        "Exchanges under this span, if several or without a connection; the facts are the last one's.",
    ),
    PHASE: Attribute(
        "string",
        "poolscope",
        "dns, connect, proxy_tunnel, tls_context (loading CA certificates), tls or total.",
        ("dns", "tls"),
    ),
    BUSY_TIME: Attribute(
        "double",
        "poolscope",
        "Seconds of it, at least, that the program itself was busy, so that it came late; only from 0.01 on, where that can be seen.",
    ),
    CLIENT_KIND: Attribute(
        "string",
        "poolscope",
        "What the program built: requests.Session, httpx.Client, …",
        ("requests.Session", "httpx.Client"),
    ),
    CLOSE_KIND: Attribute("string", "poolscope", "close or gc.", ("close", "gc")),
    FINDING_CODE: Attribute("string", "poolscope", "Stable code of the finding: PS101.", ("PS101",)),
    FINDING_COUNT: Attribute("int", "poolscope", "How often it was seen so far."),
    FINDING_COST: Attribute("double", "poolscope", "Seconds it cost so far, summed over threads and tasks."),
    FINDING_SAVING: Attribute(
        "double", "poolscope", "Elapsed seconds a fix would have saved so far, at least."
    ),
    FINDING_FIX: Attribute("string", "poolscope", "What to change.", ("share one client",)),
    HOOK: Attribute("string", "poolscope", "The hook that switched itself off.", ("urllib3.connect",)),
    WITHHELD: Attribute(
        "int", "poolscope", "Events of this name held back by the rate limit since the last one."
    ),
}

SERVER: Final = (SERVER_ADDRESS, SERVER_PORT)
TLS: Final = (TLS_PROTOCOL_NAME, TLS_PROTOCOL_VERSION, TLS_CIPHER, TLS_RESUMED, TLS_NEXT_PROTOCOL)
PEER: Final = (PEER_ADDRESS, PEER_PORT, TRANSPORT, NETWORK_TYPE)
ON_REQUEST: Final = (
    *PEER, PROTOCOL_VERSION, *TLS, CONNECTION_ID, VIA, REUSED, JOINED, REQUEST_NUMBER, STREAMS, MAX_STREAMS, IDLE_TIME, AGE,
    WAIT_TIME, POOL_NAME, SEND_TIME, ANSWER_TIME,
)  # fmt: skip
"""The connection's facts on a request's span, poolscope's or another package's."""
LEAN: Final = (PEER_ADDRESS, PEER_PORT, TRANSPORT, PROTOCOL_VERSION, CONNECTION_ID)
"""Constant facts of a connection that are still on each request's span."""

OPEN_CONNECTIONS: Final = "http.client.open_connections"
CONNECTION_DURATION: Final = "http.client.connection.duration"
ACTIVE_REQUESTS: Final = "http.client.active_requests"
REQUEST_DURATION: Final = "http.client.request.duration"
TIME_IN_QUEUE: Final = "poolscope.pool.wait_time"
DNS_DURATION: Final = "dns.lookup.duration"
OPENED: Final = "poolscope.connections.opened"
FAILED: Final = "poolscope.connections.failed"
CLOSED: Final = "poolscope.connections.closed"
BROKEN: Final = "poolscope.responses.failed"
REQUESTS_DONE: Final = "poolscope.requests"
SETUP_DURATION: Final = "poolscope.connection.setup.duration"
SETUP_TIME: Final = "poolscope.connection.setup.time"
REQUESTS_PER_CONNECTION: Final = "poolscope.connection.requests_served"
REUSE_IDLE_TIME: Final = "poolscope.reuse.idle_time"
WAITING: Final = "poolscope.pool.pending_requests"
OLDEST_WAIT: Final = "poolscope.pool.oldest_wait"
CONSTRUCTION_DURATION: Final = "poolscope.client.construction.duration"
CLIENTS_CREATED: Final = "poolscope.clients.created"
CLIENTS_CLOSED: Final = "poolscope.clients.closed"
CLIENTS_ALIVE: Final = "poolscope.clients.alive"
POOL_MAX: Final = "poolscope.pool.connections.max"
POOL_IDLE_MAX: Final = "poolscope.pool.connections.idle.max"
POOL_COUNT: Final = "poolscope.pool.connections.count"
USE_TIME: Final = "poolscope.pool.connections.use_time"
POOL_TIMEOUTS: Final = "poolscope.pool.timeouts"
STREAMS_COUNT: Final = "poolscope.streams.count"
STREAMS_MAX: Final = "poolscope.streams.max"
FINDINGS: Final = "poolscope.findings"
FACTS_DROPPED: Final = "poolscope.facts.dropped"
HOOKS_DISABLED: Final = "poolscope.hooks.disabled"

CONNECTION_CLOSED: Final = "poolscope.connection.closed"
SETUP_FAILED: Final = "poolscope.connection.setup_failed"
RESPONSE_FAILED: Final = "poolscope.response.failed"
EXCEPTION: Final = "http.client.request.exception"
FINDING: Final = "poolscope.finding"

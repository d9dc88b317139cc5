"""Every name that leaves this process through OpenTelemetry, in one table.

``source`` says who defined a name: ``semconv`` (the semantic conventions, stable), ``semconv-dev`` (there,
in development), ``dotnet`` (only their .NET documents have it) or ``poolscope``. The directory semconv/ of
the repository describes the same names in the format that OpenTelemetry's weaver reads; a test holds both
together. Conventions: https://github.com/open-telemetry/semantic-conventions, v1.44.
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


class Metric(NamedTuple):
    """One metric: ``kind`` is counter, updowncounter, gauge or histogram."""

    kind: str
    unit: str
    source: str
    brief: str
    attributes: tuple[str, ...]
    buckets: tuple[float, ...] | None = None


class Span(NamedTuple):
    """One kind of span; ``name`` shows what it is made of."""

    name: str
    kind: str
    source: str
    brief: str
    attributes: tuple[str, ...]


class Event(NamedTuple):
    """One event, sent as a log record with this event name."""

    source: str
    brief: str
    attributes: tuple[str, ...]


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
CODE_FUNCTION: Final = "code.function.name"
CODE_FILE: Final = "code.file.path"
CODE_LINE: Final = "code.line.number"
CONNECTION_ID: Final = "poolscope.connection.id"
REUSED: Final = "poolscope.connection.reused"
JOINED: Final = "poolscope.connection.joined"
REQUEST_NUMBER: Final = "poolscope.connection.request_number"
IDLE_TIME: Final = "poolscope.connection.idle_time"
AGE: Final = "poolscope.connection.age"
VIA: Final = "poolscope.connection.via"
ROUTE: Final = "poolscope.served.route"
REQUESTS: Final = "poolscope.connection.requests"
CLOSE_REASON: Final = "poolscope.connection.close_reason"
CLOSED_BY: Final = "poolscope.connection.closed_by"
WAIT_TIME: Final = "poolscope.pool.wait_time"
EXCHANGES: Final = "poolscope.exchange.count"
PHASE: Final = "poolscope.setup.phase"
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
    ERROR_TYPE: Attribute("string", "semconv", "Fully qualified class of the exception, or the status code."),
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
    ),
    REQUEST_NUMBER: Attribute("int", "poolscope", "Place of the request on its connection, from 1."),
    IDLE_TIME: Attribute("double", "poolscope", "Seconds the connection was idle before this request."),
    AGE: Attribute("double", "poolscope", "Seconds since the connection was opened."),
    VIA: Attribute("string", "poolscope", "direct, forward, tunnel, socks or uds."),
    REQUESTS: Attribute("int", "poolscope", "Requests the connection served."),
    CLOSE_REASON: Attribute("string", "poolscope", "Why the connection was closed."),
    CLOSED_BY: Attribute("string", "poolscope", "client, server, network or gc."),
    WAIT_TIME: Attribute(
        "double", "poolscope", "Seconds in the pool's queue, connection setup not included."
    ),
    EXCHANGES: Attribute(
        "int", "poolscope", "Exchanges so far under this span; the facts are the last one's."
    ),
    PHASE: Attribute("string", "poolscope", "dns, connect, proxy_tunnel, tls_context, tls or total."),
    CLIENT_KIND: Attribute(
        "string", "poolscope", "What the program built: requests.Session, httpx.Client, …"
    ),
    CLOSE_KIND: Attribute("string", "poolscope", "close or gc."),
    FINDING_CODE: Attribute("string", "poolscope", "Stable code of the finding: PS101."),
    FINDING_COUNT: Attribute("int", "poolscope", "How often it was seen so far."),
    FINDING_COST: Attribute("double", "poolscope", "Seconds it cost so far, summed over threads and tasks."),
    FINDING_SAVING: Attribute(
        "double", "poolscope", "Elapsed seconds a fix would have saved so far, at least."
    ),
    FINDING_FIX: Attribute("string", "poolscope", "What to change."),
    HOOK: Attribute("string", "poolscope", "The hook that switched itself off."),
    WITHHELD: Attribute(
        "int", "poolscope", "Events of this name held back by the rate limit since the last one."
    ),
}

SERVER: Final = (SERVER_ADDRESS, SERVER_PORT)
TLS: Final = (TLS_PROTOCOL_NAME, TLS_PROTOCOL_VERSION, TLS_CIPHER, TLS_RESUMED, TLS_NEXT_PROTOCOL)
PEER: Final = (PEER_ADDRESS, PEER_PORT, TRANSPORT, NETWORK_TYPE)
ON_REQUEST: Final = (
    *PEER, PROTOCOL_VERSION, *TLS, CONNECTION_ID, VIA, REUSED, JOINED, REQUEST_NUMBER, IDLE_TIME, AGE, WAIT_TIME,
)  # fmt: skip
"""What a request's span is told of its connection, ours or somebody else's."""

SPANS: Final[dict[str, Span]] = {
    "request": Span(
        "{http.request.method}", "client", "semconv",
        "One exchange, from asking for a connection until the response headers are there.",
        (METHOD, METHOD_ORIGINAL, RESEND_COUNT, STATUS, *SERVER, URL_FULL, ERROR_TYPE, *ON_REQUEST),
    ),
    "setup": Span(
        "HTTP connection_setup {server.address}:{server.port}", "internal", "dotnet",
        "Making a connection usable, by the request that waits for it.",
        (*SERVER, URL_SCHEME, *PEER, PROTOCOL_VERSION, *TLS, CONNECTION_ID, VIA, ERROR_TYPE),
    ),
    "wait": Span(
        "HTTP wait_for_connection {server.address}:{server.port}", "internal", "dotnet",
        "Waiting in the pool's queue; only where a request really waited.",
        (*SERVER, ERROR_TYPE),
    ),
    "dns": Span("DNS lookup {dns.question.name}", "internal", "dotnet", "Resolving a name.", (DNS_NAME, ERROR_TYPE)),
    "connect": Span(
        "socket connect {network.peer.address}:{network.peer.port}", "internal", "dotnet",
        "Connecting the socket, all addresses tried included.", (*PEER, ERROR_TYPE),
    ),
    "proxy_tunnel": Span(
        "HTTP proxy_tunnel {server.address}:{server.port}", "internal", "poolscope",
        "Asking a proxy for a tunnel.", (*SERVER, ERROR_TYPE),
    ),
    "tls_context": Span(
        "TLS context", "internal", "poolscope",
        "Loading CA certificates and keys: CPU of this process, not the network.", (ERROR_TYPE,),
    ),
    "tls": Span(
        "TLS client handshake {server.address}", "internal", "dotnet",
        "The TLS handshake.", (SERVER_ADDRESS, TLS_PROTOCOL_NAME, TLS_PROTOCOL_VERSION, ERROR_TYPE),
    ),
}  # fmt: skip

_REQUEST_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_CONNECTION_SECONDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_COUNTS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 10_000.0)

OPEN_CONNECTIONS: Final = "http.client.open_connections"
CONNECTION_DURATION: Final = "http.client.connection.duration"
ACTIVE_REQUESTS: Final = "http.client.active_requests"
REQUEST_DURATION: Final = "http.client.request.duration"
TIME_IN_QUEUE: Final = "http.client.request.time_in_queue"
DNS_DURATION: Final = "dns.lookup.duration"
OPENED: Final = "poolscope.connections.opened"
FAILED: Final = "poolscope.connections.failed"
CLOSED: Final = "poolscope.connections.closed"
REQUESTS_DONE: Final = "poolscope.requests"
SETUP_DURATION: Final = "poolscope.connection.setup.duration"
REQUESTS_PER_CONNECTION: Final = "poolscope.connection.requests_served"
REUSE_IDLE_TIME: Final = "poolscope.reuse.idle_time"
REUSE_COUNT: Final = "poolscope.reuse.count"
WAITING: Final = "poolscope.requests.waiting"
OLDEST_WAIT: Final = "poolscope.requests.oldest_wait"
CLIENTS_CREATED: Final = "poolscope.clients.created"
CLIENTS_CLOSED: Final = "poolscope.clients.closed"
CLIENTS_ALIVE: Final = "poolscope.clients.alive"
FINDINGS: Final = "poolscope.findings"
FACTS_DROPPED: Final = "poolscope.facts.dropped"
HOOKS_DISABLED: Final = "poolscope.hooks.disabled"

METRICS: Final[dict[str, Metric]] = {
    OPEN_CONNECTIONS: Metric(
        "updowncounter", "{connection}", "semconv-dev",
        "Number of outbound HTTP connections that are currently active or idle on the client.",
        (STATE, *SERVER, PROTOCOL_VERSION),
    ),
    CONNECTION_DURATION: Metric(
        "histogram", "s", "semconv-dev",
        "The duration of the successfully established outbound HTTP connections.",
        (*SERVER, PROTOCOL_VERSION), _CONNECTION_SECONDS,
    ),
    ACTIVE_REQUESTS: Metric(
        "updowncounter", "{request}", "semconv-dev", "Number of active HTTP requests.", (METHOD, *SERVER),
    ),
    REQUEST_DURATION: Metric(
        "histogram", "s", "semconv", "Duration of HTTP client requests.",
        (METHOD, STATUS, *SERVER, ERROR_TYPE, PROTOCOL_VERSION), _REQUEST_SECONDS,
    ),
    TIME_IN_QUEUE: Metric(
        "histogram", "s", "dotnet",
        "The amount of time requests spent on a queue waiting for an available connection.",
        (METHOD, *SERVER, PROTOCOL_VERSION), _REQUEST_SECONDS,
    ),
    DNS_DURATION: Metric(
        "histogram", "s", "semconv-dev", "Measures the time taken to perform a DNS lookup.",
        (DNS_NAME, ERROR_TYPE), _REQUEST_SECONDS,
    ),
    OPENED: Metric("counter", "{connection}", "poolscope", "Connections that became usable.", SERVER),
    FAILED: Metric("counter", "{connection}", "poolscope", "Connection setups that failed.", (*SERVER, PHASE)),
    CLOSED: Metric(
        "counter", "{connection}", "poolscope", "Connections that were closed, by reason.",
        (*SERVER, CLOSE_REASON, CLOSED_BY),
    ),
    REQUESTS_DONE: Metric(
        "counter", "{request}", "poolscope", "Finished requests that had a connection, on a reused one or not.",
        (*SERVER, REUSED, ROUTE),
    ),
    SETUP_DURATION: Metric(
        "histogram", "s", "poolscope", "Duration of the phases of connection setup, and of all of it.",
        (*SERVER, PHASE, ERROR_TYPE), _REQUEST_SECONDS,
    ),
    REQUESTS_PER_CONNECTION: Metric(
        "histogram", "{request}", "poolscope", "Requests a connection had served when it was closed.", SERVER, _COUNTS,
    ),
    REUSE_IDLE_TIME: Metric(
        "counter", "s", "poolscope", "Summed idle time of connections before they were reused.", SERVER,
    ),
    REUSE_COUNT: Metric(
        "counter", "{request}", "poolscope", "Reuses whose idle time is in the sum.", SERVER,
    ),
    WAITING: Metric("updowncounter", "{request}", "poolscope", "Requests without a connection right now.", SERVER),
    OLDEST_WAIT: Metric(
        "gauge", "s", "poolscope", "How long the oldest of the requests without a connection has waited.", SERVER,
    ),
    CLIENTS_CREATED: Metric("counter", "{client}", "poolscope", "Clients built.", (CLIENT_KIND,)),
    CLIENTS_CLOSED: Metric(
        "counter", "{client}", "poolscope", "Clients closed or garbage-collected.", (CLIENT_KIND, CLOSE_KIND),
    ),
    CLIENTS_ALIVE: Metric("updowncounter", "{client}", "poolscope", "Clients built and not closed.", (CLIENT_KIND,)),
    FINDINGS: Metric("counter", "{finding}", "poolscope", "Findings, by code.", (FINDING_CODE,)),
    FACTS_DROPPED: Metric("counter", "{fact}", "poolscope", "Facts lost because the queue was full.", ()),
    HOOKS_DISABLED: Metric("updowncounter", "{hook}", "poolscope", "Hooks that switched themselves off.", (HOOK,)),
}  # fmt: skip

CONNECTION_CLOSED: Final = "poolscope.connection.closed"
FINDING: Final = "poolscope.finding"

EVENTS: Final[dict[str, Event]] = {
    CONNECTION_CLOSED: Event(
        "poolscope", "A connection was closed.",
        (*SERVER, CONNECTION_ID, VIA, *PEER, PROTOCOL_VERSION, CLOSE_REASON, CLOSED_BY, AGE, REQUESTS, IDLE_TIME,
         ERROR_TYPE, WITHHELD),
    ),
    FINDING: Event(
        "poolscope", "A habit that costs connections was recognised.",
        (FINDING_CODE, SERVER_ADDRESS, SERVER_PORT, FINDING_COUNT, FINDING_COST, FINDING_SAVING, FINDING_FIX,
         CODE_FUNCTION, CODE_FILE, CODE_LINE, WITHHELD),
    ),
}  # fmt: skip

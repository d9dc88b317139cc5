"""Every span, metric and event with its attributes, in one table; tools/registry.py writes semconv/ from it."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from poolscope.signals import names

Source: TypeAlias = Literal["semconv", "semconv-dev", "dotnet", "poolscope"]
"""Who gave the name: the conventions, stable or in development; the .NET documents; poolscope."""


class Metric(NamedTuple):
    """One metric."""

    kind: Literal["counter", "updowncounter", "gauge", "histogram"]
    unit: str
    source: Source
    brief: str
    attributes: tuple[str, ...]
    buckets: tuple[float, ...] | None = None
    """Upper bounds of buckets that the conventions advise, else our own."""
    few: tuple[float, ...] | None = None
    """The default bounds: a bucket is a series in Prometheus."""

    @property
    def required(self) -> tuple[str, ...]:
        """The attributes that every point has."""
        return tuple(key for key in self.attributes if key not in SOMETIMES)


class Span(NamedTuple):
    """One kind of span; ``name`` shows its parts."""

    name: str
    kind: Literal["client", "internal"]
    source: Source
    brief: str
    required: tuple[str, ...]
    more: tuple[str, ...]

    @property
    def attributes(self) -> tuple[str, ...]:
        """All that it may carry."""
        return (*self.required, *self.more)


class Event(NamedTuple):
    """One event, sent as a log record with this event name."""

    source: Source
    brief: str
    required: tuple[str, ...]
    more: tuple[str, ...]

    @property
    def attributes(self) -> tuple[str, ...]:
        """All that it may carry."""
        return (*self.required, *self.more)


SOMETIMES: Final[dict[str, str | None]] = {
    names.ERROR_TYPE: "If it ended with an error.",
    names.STATUS: "If an answer came.",
    names.RESEND_COUNT: "If it is a resend.",
    names.METHOD_ORIGINAL: "If the method is unknown.",
    names.PROTOCOL_VERSION: None,
    names.CLOSED_BY: None,
    names.ROUTE: "If poolscope's middleware knows the route that is being served.",
    names.POOL_NAME: "If the program has given it a name.",
    names.WAITED_FOR: "If it waited for a stream of an HTTP/2 connection.",
}
"""Attributes that not every point has, and their conditions; None if the conventions merely recommend them."""

SPANS: Final[dict[str, Span]] = {
    "request": Span(
        "{http.request.method}", "client", "semconv",
        "One exchange, from asking for a connection until the response headers are there.",
        (names.METHOD, *names.SERVER, names.URL_FULL),
        (names.METHOD_ORIGINAL, names.RESEND_COUNT, names.STATUS, names.ERROR_TYPE, names.PHASE, *names.ON_REQUEST),
    ),
    "setup": Span(
        "HTTP connection_setup", "internal", "dotnet",
        "Making a connection usable, by the request that waits for it.",
        names.SERVER,
        (names.URL_SCHEME, *names.PEER, names.PROTOCOL_VERSION, *names.TLS, names.CONNECTION_ID, names.VIA, names.CODE_FUNCTION, names.CODE_FILE, names.CODE_LINE, names.BUSY_TIME, names.ERROR_TYPE),
    ),
    "wait": Span(
        "HTTP wait_for_connection", "internal", "dotnet",
        "Waiting in the pool's queue; only if a request really waited.",
        names.SERVER, (names.POOL_NAME, names.WAITED_FOR, names.ERROR_TYPE),
    ),
    "dns": Span("DNS lookup", "internal", "dotnet", "Resolving a name.", (), (names.DNS_NAME, names.DNS_ANSWERS, names.BUSY_TIME, names.ERROR_TYPE)),
    "connect": Span(
        "socket connect", "internal", "dotnet",
        "Connecting a socket to one address.", (), (*names.PEER, names.BUSY_TIME, names.ERROR_TYPE),
    ),
    "proxy_tunnel": Span(
        "HTTP proxy_tunnel", "internal", "poolscope",
        "Asking a proxy for a tunnel.", names.SERVER, (names.BUSY_TIME, names.ERROR_TYPE),
    ),
    "tls_context": Span(
        "TLS context", "internal", "poolscope",
        "Loading CA certificates and keys: CPU of this process, not the network.", (), (names.ERROR_TYPE,),
    ),
    "tls": Span(
        "TLS client handshake", "internal", "dotnet",
        "The TLS handshake.", (names.SERVER_ADDRESS,), (names.TLS_PROTOCOL_NAME, names.TLS_PROTOCOL_VERSION, names.BUSY_TIME, names.ERROR_TYPE),
    ),
}  # fmt: skip

_REQUEST_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_CONNECTION_SECONDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_COUNTS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 10_000.0)

METRICS: Final[dict[str, Metric]] = {
    names.OPEN_CONNECTIONS: Metric(
        "updowncounter", "{connection}", "semconv-dev",
        "Number of outbound HTTP connections that are currently active or idle on the client.",
        (names.STATE, *names.SERVER, names.PROTOCOL_VERSION),
    ),
    names.CONNECTION_DURATION: Metric(
        "histogram", "s", "semconv-dev",
        "The duration of the successfully established outbound HTTP connections.",
        (*names.SERVER, names.PROTOCOL_VERSION), _CONNECTION_SECONDS, (),
    ),
    names.ACTIVE_REQUESTS: Metric(
        "updowncounter", "{request}", "semconv-dev", "Number of active HTTP requests.", (names.METHOD, *names.SERVER),
    ),
    names.REQUEST_DURATION: Metric(
        "histogram", "s", "semconv", "Duration of HTTP client requests.",
        (names.METHOD, names.STATUS, *names.SERVER, names.ERROR_TYPE, names.PROTOCOL_VERSION), _REQUEST_SECONDS, _REQUEST_SECONDS,
    ),
    names.TIME_IN_QUEUE: Metric(
        "histogram", "s", "poolscope",
        "How long requests waited in a pool's queue, or for a stream of HTTP/2; connection setup not included.",
        (names.METHOD, *names.SERVER, names.PROTOCOL_VERSION, names.POOL_NAME, names.WAITED_FOR), _REQUEST_SECONDS, (0.01, 0.1, 1.0),
    ),
    names.DNS_DURATION: Metric(
        "histogram", "s", "semconv-dev", "Measures the time taken to perform a DNS lookup.",
        (names.DNS_NAME, names.ERROR_TYPE), _REQUEST_SECONDS, (),
    ),
    names.OPENED: Metric("counter", "{connection}", "poolscope", "Connections that became usable.", names.SERVER),
    names.FAILED: Metric("counter", "{connection}", "poolscope", "Connection setups that failed.", (*names.SERVER, names.PHASE, names.ERROR_TYPE)),
    names.CLOSED: Metric(
        "counter", "{connection}", "poolscope", "Connections that were closed, by reason.",
        (*names.SERVER, names.CLOSE_REASON, names.CLOSED_BY),
    ),
    names.BROKEN: Metric(
        "counter", "{response}", "poolscope", "Responses that were cut off after their headers.",
        (*names.SERVER, names.ERROR_TYPE),
    ),
    names.REQUESTS_DONE: Metric(
        "counter", "{request}", "poolscope", "Finished requests that had a connection, reused or not.",
        (*names.SERVER, names.REUSED, names.ROUTE),
    ),
    names.SETUP_DURATION: Metric(
        "histogram", "s", "poolscope", "Duration of connection setup; with all buckets, of its phases as well.",
        (*names.SERVER, names.PHASE, names.ERROR_TYPE), _REQUEST_SECONDS, (0.1,),
    ),
    names.SETUP_TIME: Metric(
        "counter", "s", "poolscope", "Time spent in each phase of connection setup, whether it succeeded or not.",
        (*names.SERVER, names.PHASE),
    ),
    names.REQUESTS_PER_CONNECTION: Metric(
        "histogram", "{request}", "poolscope", "How many requests a connection had served when it was closed.", names.SERVER, _COUNTS, (1.0,),
    ),
    names.REUSE_IDLE_TIME: Metric(
        "counter", "s", "poolscope", "Summed idle time of connections before they were reused.", names.SERVER,
    ),
    names.WAITING: Metric("updowncounter", "{request}", "poolscope", "Requests without a connection right now.", (*names.SERVER, names.POOL_NAME)),
    names.OLDEST_WAIT: Metric(
        "gauge", "s", "poolscope", "How long the oldest of the requests without a connection has waited.", names.SERVER,
    ),
    names.CONSTRUCTION_DURATION: Metric(
        "histogram", "s", "poolscope", "Duration of building clients, and of loading CA certificates for them.",
        (names.CLIENT_KIND, names.PHASE), _REQUEST_SECONDS, (),
    ),
    names.CLIENTS_CREATED: Metric("counter", "{client}", "poolscope", "Clients built.", (names.CLIENT_KIND,)),
    names.CLIENTS_CLOSED: Metric(
        "counter", "{client}", "poolscope", "Clients closed or garbage-collected.", (names.CLIENT_KIND, names.CLOSE_KIND),
    ),
    names.CLIENTS_ALIVE: Metric("updowncounter", "{client}", "poolscope", "Clients built and not closed.", (names.CLIENT_KIND,)),
    names.POOL_MAX: Metric(
        "updowncounter", "{connection}", "poolscope",
        "How many connections the live pools with a limit may open.", (names.CLIENT_KIND, names.POOL_NAME),
    ),
    names.POOL_IDLE_MAX: Metric(
        "updowncounter", "{connection}", "poolscope",
        "How many idle connections the live pools with a limit may keep.", (names.CLIENT_KIND, names.POOL_NAME),
    ),
    names.POOL_COUNT: Metric(
        "updowncounter", "{connection}", "poolscope",
        "Connections of the live pools with a limit; a connection in setup is active.",
        (names.CLIENT_KIND, names.POOL_NAME, names.STATE),
    ),
    names.USE_TIME: Metric(
        "counter", "s", "poolscope", "Time that requests had a connection, without its setup.", names.SERVER,
    ),
    names.POOL_TIMEOUTS: Metric(
        "counter", "{timeout}", "poolscope", "Requests that got no connection from their pool in time.",
        (*names.SERVER, names.POOL_NAME),
    ),
    names.STREAMS_COUNT: Metric(
        "updowncounter", "{stream}", "poolscope", "Requests that open HTTP/2 connections are serving.", names.SERVER,
    ),
    names.STREAMS_MAX: Metric(
        "updowncounter", "{stream}", "poolscope", "How many requests open HTTP/2 connections may serve at once.", names.SERVER,
    ),
    names.FINDINGS: Metric("counter", "{finding}", "poolscope", "Findings, by code.", (names.FINDING_CODE,)),
    names.FACTS_DROPPED: Metric("counter", "{fact}", "poolscope", "Facts lost because the queue was full.", ()),
    names.HOOKS_DISABLED: Metric("updowncounter", "{hook}", "poolscope", "Hooks that switched themselves off.", (names.HOOK,)),
}  # fmt: skip

EVENTS: Final[dict[str, Event]] = {
    names.CONNECTION_CLOSED: Event(
        "poolscope", "A connection was closed.",
        (*names.SERVER, names.CONNECTION_ID, names.CLOSE_REASON, names.REQUESTS),
        (names.VIA, *names.PEER, names.PROTOCOL_VERSION, names.CLOSED_BY, names.AGE, names.IDLE_TIME,
         names.ERROR_TYPE, names.WITHHELD),
    ),
    names.SETUP_FAILED: Event(
        "poolscope", "A connection could not be set up.",
        (*names.SERVER, names.CONNECTION_ID, names.PHASE, names.ERROR_TYPE), (names.VIA, *names.PEER, names.WITHHELD),
    ),
    names.RESPONSE_FAILED: Event(
        "poolscope", "The rest of a response never came.",
        (*names.SERVER, names.METHOD, names.ERROR_TYPE), (names.STATUS, names.CONNECTION_ID, names.WITHHELD),
    ),
    names.EXCEPTION: Event(
        "semconv-dev", "A request failed without an answer.",
        (names.EXCEPTION_TYPE, names.ERROR_TYPE, *names.SERVER), (names.EXCEPTION_MESSAGE, names.METHOD, names.WITHHELD),
    ),
    names.FINDING: Event(
        "poolscope", "A habit that costs connections was recognised.",
        (names.FINDING_CODE, names.FINDING_COUNT, names.FINDING_FIX),
        (*names.SERVER, names.FINDING_COST, names.FINDING_SAVING,
         names.CODE_FUNCTION, names.CODE_FILE, names.CODE_LINE, names.WITHHELD),
    ),
}  # fmt: skip

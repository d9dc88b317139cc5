"""The material of metrics and events: the sums for a server, and the facts that wait to be sent one by one."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from poolscope import facts, records
from poolscope.records import CloseReason

EVERYDAY: Final[tuple[CloseReason, ...]] = (
    "client_close",
    "connection_close_header",
    "gc",
    "pool_full",
    "server_closed_idle",
)
"""Close reasons whose counters are there, as 0, from the first sight of a server on."""

Attributes = dict[str, Any]


class Sample(NamedTuple):
    """One value for a histogram, with the SpanContext it belongs to."""

    metric: str
    value: float
    attributes: Attributes
    span: Any


class Closed(NamedTuple):
    """A connection's close, for the event."""

    record: records.Connection
    server: Attributes
    span: Any


class Failed(NamedTuple):
    """A setup that failed, for the event."""

    sheet: facts.Connection
    failure: facts.Failure
    server: Attributes
    span: Any


class Unanswered(NamedTuple):
    """A request that failed without an answer, for the record of its exception."""

    sheet: facts.Exchange
    failure: facts.Failure
    server: Attributes
    span: Any


class Broken(NamedTuple):
    """A response of which the rest never came, for the event."""

    sheet: facts.Exchange
    failure: facts.Failure
    server: Attributes
    span: Any


class Found(NamedTuple):
    """A finding, for the event, with the SpanContext of a setup that it is about."""

    finding: records.Finding
    span: Any


Pending: TypeAlias = Sample | Closed | Failed | Unanswered | Broken | Found


class Server:
    """Sums for one server."""

    __slots__ = (
        "attributes",
        "broken",
        "closed",
        "failed",
        "fresh",
        "idle_time",
        "methods",
        "opened",
        "phases",
        "reused",
        "routes",
        "timeouts",
        "use_time",
    )

    def __init__(self, attributes: Attributes) -> None:
        self.attributes = attributes
        self.opened = 0
        self.failed: dict[tuple[str, facts.ErrorType | None], int] = {("connect", None): 0}
        """By phase and error; the first is there, as 0, from the first sight of a server on."""
        self.closed: dict[tuple[str, str | None], int] = {(reason, _BY[reason]): 0 for reason in EVERYDAY}
        self.broken: dict[facts.ErrorType, int] = {}
        """Responses of which the rest never came."""
        self.timeouts: dict[str | None, int] = {None: 0}
        """Requests that got no connection in time, by the name of their pool."""
        self.use_time = 0.0
        """Seconds that its requests had a connection."""
        self.reused = 0
        self.fresh = 0
        self.idle_time = 0.0
        self.methods: set[str] = set()
        """Those of its requests: as many series of requests in progress, which are 0 most of the time."""
        self.routes: dict[tuple[str, bool], int] = {}
        """Requests by the route that they were sent for, on a reused connection or not; part of the sums above."""
        self.phases: dict[str, float] = {}
        """Seconds spent in each phase of setup."""

    def __repr__(self) -> str:
        return f"<Server {self.attributes} opened={self.opened} reused={self.reused} fresh={self.fresh}>"


_BY: Final[dict[str, str]] = {
    "client_close": "client",
    "connection_close_header": "server",
    "gc": "gc",
    "pool_full": "client",
    "server_closed_idle": "server",
}

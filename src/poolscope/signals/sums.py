"""The data behind metrics and events: the sums for a server, and the facts that wait to be sent one by one."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from poolscope import facts, records
from poolscope.records import ClosedBy, CloseReason

EVERYDAY: Final[dict[CloseReason, ClosedBy]] = {
    "client_close": "client",
    "connection_close_header": "server",
    "gc": "gc",
    "pool_full": "client",
    "server_closed_idle": "server",
}
"""Closes with counters that are reported, as 0, as soon as a server is known."""

Attributes = dict[str, Any]


class Sample(NamedTuple):
    """One value for a histogram, with the SpanContext it belongs to."""

    metric: str
    value: float
    attributes: Attributes
    span: Any


class Series:
    """A series of the requests' duration: its attributes, made once, and what it has shown of late."""

    __slots__ = ("attributes", "collection", "shown")

    def __init__(self, attributes: Attributes) -> None:
        self.attributes = attributes
        self.collection = -1
        """The collection that ``shown`` is about."""
        self.shown: set[int] = set()
        """Buckets that have an exemplar since then."""

    def __repr__(self) -> str:
        return f"<Series {self.attributes}>"


class Duration(NamedTuple):
    """How long a request took, with the SpanContext it belongs to."""

    value: float
    series: Series
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
    """A response that was never completed, for the event."""

    sheet: facts.Exchange
    failure: facts.Failure
    server: Attributes
    span: Any


class Found(NamedTuple):
    """A finding, for the event, with the SpanContext of a setup that shows it."""

    finding: records.Finding
    span: Any


Rare: TypeAlias = Sample | Closed | Failed | Unanswered | Broken | Found
Pending: TypeAlias = Duration | Rare


class Server:
    """Sums for one server."""

    __slots__ = (
        "attributes",
        "broken",
        "closed",
        "durations",
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
        """By phase and error; the first is reported, as 0, as soon as a server is known."""
        self.closed: dict[tuple[str, str | None], int] = dict.fromkeys(EVERYDAY.items(), 0)
        self.durations: dict[tuple[Any, ...], Series] = {}
        """Series of its requests' duration, by what tells them apart on a sheet."""
        self.broken: dict[facts.ErrorType, int] = {}
        """Responses that were never completed."""
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

"""Facts become sums: pure aggregation at drain time, without OpenTelemetry and without a lock.

Only the drain writes here, one thread at a time. Readers take copies that are atomic under the
interpreter. What must be recorded one by one (histograms, events) waits in ``pending`` until a place without locks
passes it on: an instrument's lock taken inside the drain could wait for a collection that waits for the drain.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from poolscope import facts, records
from poolscope.facts import BEGUN, ENDED, OPENED
from poolscope.ledger.closing import REASONS
from poolscope.ledger.since import Since
from poolscope.ledger.urls import raw_origin, text
from poolscope.queue import FACTS
from poolscope.signals import errors, names
from poolscope.signals.pools import queue_of
from poolscope.signals.redaction import method, server
from poolscope.signals.sums import (
    Attributes,
    Broken,
    Closed,
    Duration,
    Failed,
    Found,
    Pending,
    Sample,
    Series,
    Server,
    Unanswered,
)
from poolscope.story.live import LIVE
from poolscope.story.pool import name_of

CLIENT_KINDS: Final = 100
SERIES: Final = 100
"""How many series of a server's requests are kept; methods may be anything."""
ROUTES: Final = 100
"""How many routes the metrics distinguish; later ones share ``other``."""


class Totals:
    """The data of all metrics."""

    def __init__(self) -> None:
        self.limit = 1_000
        """How many servers are distinguished; later ones share ``other``."""
        self.phases = False
        """Whether each phase of setup has its own histogram."""
        self.excludes: Callable[[facts.RawOrigin], bool] | None = None
        """Whether a server is not reported by name."""
        self.pending: deque[Pending] = deque()
        self.reset()

    def __repr__(self) -> str:
        return f"<Totals of {len(self.servers)} servers, {len(self.pending)} samples pending>"

    @property
    def are_empty(self) -> bool:
        """Whether nothing has happened in this process."""
        return not (
            self.servers
            or LIVE.peers
            or self.clients_created
            or self.hooks_disabled
            or self.pending
            or FACTS.dropped
        )

    def reset(self) -> None:
        """Back to zero: at the start, and in a forked child, because the parent reports what was before."""
        self.pending.clear()
        self.begin()
        self.servers: dict[tuple[str, int | None], Server] = {}
        self.clients_created: dict[str, int] = {}
        self.clients_alive: dict[str, int] = {}
        self.clients_closed: dict[tuple[str, str], int] = {}
        self.findings: dict[str, int] = {}
        self.routes: dict[str, None] = {}
        self.hooks_disabled: dict[str, int] = {}

    def consume(self, moment: facts.Moment, sheet: facts.Sheet) -> None:
        """Take one fact, in queue order."""
        kind = type(sheet)
        if kind is facts.Exchange:
            self._exchange(moment, sheet)  # type: ignore[arg-type]
        elif kind is facts.Connection:
            self._connection(moment, sheet)  # type: ignore[arg-type]
        elif kind is facts.Client:
            self._client(moment, sheet)  # type: ignore[arg-type]
        elif kind is facts.HookFailure and sheet.disabled:  # type: ignore[union-attr]
            self.hooks_disabled[sheet.hook] = 1  # type: ignore[union-attr]

    def take(self, record: records.Record) -> None:
        """Take one record of the ledger: it knows when a connection's last exchange is over."""
        if isinstance(record, records.Connection) and record.closed_at is not None:
            self._closed(record)

    def found(self, finding: records.Finding, *, first: bool, span: Any = None) -> None:
        """Take a finding: a new finding is counted, a finding that has grown is only sent again."""
        if first:
            self.findings[finding.code] = self.findings.get(finding.code, 0) + 1
        if finding.origin is None or not self._is_excluded(raw_origin(finding.origin)):
            self.pending.append(Found(finding, span))

    def begin(self) -> None:
        """Ignore what is already live, because nobody watched it begin."""
        self._since = Since.now()

    def forget_live(self) -> None:
        """Forget the clients that are alive now: their end will not be seen."""
        self.clients_alive = dict.fromkeys(self.clients_alive, 0)

    def server(self, origin: facts.RawOrigin) -> Server:
        """The sums for ``origin``'s server, or the shared ones past the limit."""
        key = server(origin)
        known = self.servers.get(key)
        if known is None:
            if len(self.servers) >= self.limit or self._is_excluded(origin):
                key = ("other", 0)
                known = self.servers.get(key)
            if known is None:
                known = self.servers[key] = Server(_attributes(key))
        return known

    def _tell(self, origin: facts.RawOrigin, event: Callable[[Attributes], Pending]) -> None:
        """An event names its server beyond the limit as well; excluded servers have no events."""
        if not self._is_excluded(origin):
            self.pending.append(event(_attributes(server(origin))))

    def _is_excluded(self, origin: facts.RawOrigin) -> bool:
        return self.excludes is not None and self.excludes(origin)

    def meet(self) -> None:
        """Note the servers of requests in progress: their counters are reported, as 0, from then on."""
        for origin in LIVE.origins():
            self.server(origin)

    def open_connections(self) -> list[tuple[facts.Connection, Server]]:
        """Connections of this process that are open now."""
        return [
            (sheet, self.server(sheet.origin))
            for sheet in list(LIVE.connections.values())
            if sheet.id > self._since.connection and sheet.epoch == FACTS.epoch and not _connects(sheet)
        ]

    def active_requests(self) -> list[tuple[facts.Exchange, Server]]:
        """Requests in progress."""
        return [
            (sheet, self.server(sheet.origin))
            for sheet in list(LIVE.exchanges.values())
            if sheet.id > self._since.exchange and (sheet.live is None or not sheet.live.excluded)
        ]

    def waiting(self) -> list[tuple[facts.Exchange, Server]]:
        """Requests that have no connection and are not setting one up."""
        busy = {sheet.opened_by for sheet in list(LIVE.connections.values()) if _connects(sheet)}
        return [
            (sheet, at)
            for sheet, at in self.active_requests()
            if sheet.connection is None and sheet.id not in busy
        ]

    def _client(self, moment: facts.Moment, sheet: facts.Client) -> None:
        kind = sheet.kind
        if kind not in self.clients_created and len(self.clients_created) >= CLIENT_KINDS:
            kind = "other"
        if sheet.epoch != FACTS.epoch:
            return
        if moment == BEGUN:
            # A client from before is alive, but its construction was not seen.
            built = sheet.created_at is not None
            self.clients_created[kind] = self.clients_created.get(kind, 0) + built
            self.clients_alive[kind] = self.clients_alive.get(kind, 0) + 1
            self._construction(kind, sheet)
        elif self.clients_alive.get(kind):
            self.clients_alive[kind] -= 1
            key = (kind, sheet.close_kind or "close")
            self.clients_closed[key] = self.clients_closed.get(key, 0) + 1

    def _construction(self, kind: str, sheet: facts.Client) -> None:
        for phase, took in (("total", sheet.construction_time), ("tls_context", sheet.ca_time)):
            if took:
                about: Attributes = {names.CLIENT_KIND: kind, names.PHASE: phase}
                self.pending.append(Sample(names.CONSTRUCTION_DURATION, took, about, None))

    def _connection(self, moment: facts.Moment, sheet: facts.Connection) -> None:
        if sheet.epoch != FACTS.epoch:
            return  # inherited by a fork: its parent counts it
        at = self.server(sheet.origin)
        if moment == OPENED and sheet.opened_at is not None:
            at.opened += 1
            self._setup(sheet, at, sheet.opened_at)
        elif moment == ENDED and sheet.failed_phase is not None:
            failure = sheet.failure
            if failure is not None:  # else the caller cancelled
                key = (sheet.failed_phase, failure.type)
                at.failed[key] = at.failed.get(key, 0) + 1
                self._tell(sheet.origin, lambda server: Failed(sheet, failure, server, sheet.span))
            self._setup(sheet, at, sheet.closed_at)

    def _setup(self, sheet: facts.Connection, at: Server, ended_at: float | None) -> None:
        failure = errors.of_setup(sheet)
        error = None if failure is None else failure.type
        last = len(sheet.phases) - 1
        for index, (phase, start, end) in enumerate(sheet.phases):
            broke = error if index == last and phase == sheet.failed_phase else None
            self._phase(phase, end - start, broke, sheet, at)
            name = text(sheet.dns_name)
            if phase == "dns" and name is not None:
                about: Attributes = {names.DNS_NAME: name}
                if broke is not None and failure is not None:
                    about[names.ERROR_TYPE] = errors.of_lookup(failure)
                self.pending.append(Sample(names.DNS_DURATION, end - start, about, sheet.span))
        if sheet.setup_started_at is not None and ended_at is not None:
            self._phase("total", ended_at - sheet.setup_started_at, error, sheet, at)

    def _phase(self, phase: str, took: float, error: str | None, sheet: facts.Connection, at: Server) -> None:
        if phase != "total":
            at.phases[phase] = at.phases.get(phase, 0.0) + took
            if not self.phases:
                return
        about = {**at.attributes, names.PHASE: phase}
        if error is not None:
            about[names.ERROR_TYPE] = error
        self.pending.append(Sample(names.SETUP_DURATION, took, about, sheet.span))

    def _closed(self, record: records.Connection) -> None:
        if record.inherited or record.failed_phase is not None:
            return
        at = self.server(raw_origin(record.origin))
        reason = record.close_reason if record.close_reason in REASONS else "unknown"
        key = (reason, record.closed_by)
        at.closed[key] = at.closed.get(key, 0) + 1
        if record.opened_at is not None and record.closed_at is not None:
            about = {**at.attributes, names.PROTOCOL_VERSION: protocol_version(record)}
            took = max(record.closed_at - record.opened_at, 0.0)
            self.pending.append(Sample(names.CONNECTION_DURATION, took, about, record.span))
            self.pending.append(
                Sample(names.REQUESTS_PER_CONNECTION, record.requests, at.attributes, record.span)
            )
        self._tell(raw_origin(record.origin), lambda server: Closed(record, server, record.span))

    def _exchange(self, moment: facts.Moment, sheet: facts.Exchange) -> None:
        live = sheet.live
        if moment != ENDED or sheet.epoch != FACTS.epoch or (live is not None and live.excluded):
            return
        at = self.server(sheet.origin)
        if sheet.reused:
            at.reused += 1
            if sheet.idle_time is not None:
                at.idle_time += sheet.idle_time
        elif sheet.reused is False:
            at.fresh += 1
        at.use_time += _use_time(sheet)
        if sheet.route is not None and sheet.reused is not None:
            self._routed(sheet.route, sheet.reused, at)
        series = _series(sheet, at)
        if sheet.pool_wait and sheet.queued:
            self._queued(sheet, sheet.pool_wait, series)
        ended = sheet.headers_at or sheet.finished_at
        if ended is not None and (live is None or not live.duration_recorded):
            self.pending.append(Duration(max(ended - sheet.started_at, 0.0), series, sheet.span))
        if sheet.failure is not None:
            self._failed(sheet, sheet.failure, at)

    def _failed(self, sheet: facts.Exchange, failure: facts.Failure, at: Server) -> None:
        if failure.type == "pool_timeout":
            pool = name_of(sheet.pool)
            at.timeouts[pool] = at.timeouts.get(pool, 0) + 1
        if sheet.headers_at is not None:
            at.broken[failure.type] = at.broken.get(failure.type, 0) + 1
            self._tell(sheet.origin, lambda server: Broken(sheet, failure, server, sheet.span))
        elif sheet.live is None or sheet.live.own is not False:
            self._tell(sheet.origin, lambda server: Unanswered(sheet, failure, server, sheet.span))

    def _queued(self, sheet: facts.Exchange, took: float, series: Series) -> None:
        about = {key: value for key, value in series.attributes.items() if key not in _OF_ANSWERS}
        about |= queue_of(sheet)
        self.pending.append(Sample(names.TIME_IN_QUEUE, took, about, sheet.span))

    def _routed(self, route: str, reused: bool, at: Server) -> None:
        route = route if route in self.routes or len(self.routes) < ROUTES else "other"
        self.routes[route] = None
        at.routes[route, reused] = at.routes.get((route, reused), 0) + 1


_OF_ANSWERS: Final = (names.STATUS, names.ERROR_TYPE)


def _series(sheet: facts.Exchange, at: Server) -> Series:
    """The series for the duration of ``sheet``; most requests belong to an existing series."""
    connection = sheet.connection
    version = None if connection is None else connection.http_version
    error = (
        None
        if sheet.error is None or sheet.status is not None or sheet.failure is None
        else sheet.failure.type
    )
    key = (sheet.method, version, sheet.status, error)
    return at.durations.get(key) or _new_series(key, at)


def _new_series(key: tuple[Any, ...], at: Server) -> Series:
    verb, version, status, error = method(key[0]), *key[1:]
    at.methods.add(verb)
    about: Attributes = {names.METHOD: verb, **at.attributes}
    if version is not None:
        about[names.PROTOCOL_VERSION] = version
    if status is not None:
        about[names.STATUS] = status
        if status >= 400:
            about[names.ERROR_TYPE] = str(status)
    elif error is not None:
        about[names.ERROR_TYPE] = error
    series = Series(about)
    if len(at.durations) < SERIES:
        at.durations[key] = series
    return series


def _attributes(key: tuple[str, int | None]) -> Attributes:
    address, port = key
    return (
        {names.SERVER_ADDRESS: address}
        if port is None
        else {names.SERVER_ADDRESS: address, names.SERVER_PORT: port}
    )


def _use_time(sheet: facts.Exchange) -> float:
    """Seconds from having a connection that is set up to giving it back."""
    connection, begun, ended = sheet.connection, sheet.assigned_at, sheet.finished_at
    if connection is None or begun is None or ended is None:
        return 0.0
    opened = connection.opened_at
    return max(ended - (begun if opened is None or opened < begun else opened), 0.0)


def _connects(sheet: facts.Connection) -> bool:
    return sheet.opened_at is None and sheet.setup_started_at is not None


def protocol_version(connection: facts.Connection | records.Connection) -> str:
    """.NET's rule: HTTP/1.0 is not known before the first answer, and a series must not change its name."""
    return "2" if connection.http_version == "2" or connection.alpn == "h2" else "1.1"

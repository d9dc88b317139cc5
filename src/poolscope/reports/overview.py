"""What happened, in bounded memory: sums over a stream of records, and a few connections worth drawing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from poolscope.findings import new_findings
from poolscope.findings.known import Bounded, Key
from poolscope.records import (
    CallSite,
    Client,
    Connection,
    Exchange,
    Finding,
    Header,
    Pool,
    Record,
    Summary,
)
from poolscope.reports.lanes import Lane, LaneSample
from poolscope.reports.live import OPEN, RECENT, KnownClients, OpenConnection
from poolscope.reports.places import CAP, UNSEEN, Places
from poolscope.reports.routes import Routes
from poolscope.reports.tally import Limits, Row, Tally

LEFT: Final = 100_000
"""How many connections left open, and how many requests in progress, are remembered to their end: as a process does."""
LINES: Final = 10_000
ROWS_OF_A_CLIENT: Final = 64
"""How many origins of one client are distinguished when clients are counted; of the first `FEW` clients, `CAP`."""
FEW: Final = 100

Runner = tuple[int, int | None, str | None]
"""Process, thread and task that sent requests."""


class Overview:
    """Feed it every record of a stream with `add`, in order; the reports draw what it holds.

    Several processes may share a stream. Finding records are ignored: the rules run here, so that a saved file gives
    the same overview as the run that wrote it.
    """

    def __init__(self) -> None:
        self.headers: dict[int, Header] = {}
        self.summaries: dict[int, Summary] = {}
        self.running: set[int] = set()
        """Processes that are known to go on: what has no end there is not lost."""
        self.records = 0
        self.routes = Routes()
        self._places = Places()
        self._clients = KnownClients(self._places, self.headers)
        self._open: dict[Key, OpenConnection] = {}
        self._past_connections: Bounded[Key, Row] = Bounded(RECENT)
        self._in_progress: dict[Key, tuple[Row, Exchange]] = {}
        self._newest: dict[int, float] = {}
        self._runners: set[Runner] = set()
        self._findings = new_findings()
        self.shows: Callable[[Finding], bool] | None = None
        """Which findings the reports show; while None, all."""
        self.lines: set[CallSite] = set()
        """Lines of code that built clients or sent requests, up to `LINES`."""
        self._left: Bounded[Key, Row] = Bounded(LEFT)
        self._left_open = 0
        self.more_processes = 0
        """Processes beyond the first `CAP`: their records count, their headers and summaries do not."""
        self._add: dict[type, Callable[..., None]] = {
            Header: self._header,
            Client: self._client,
            Pool: self._pool,
            Connection: self._connection,
            Exchange: self._exchange,
            Summary: self._summary,
        }

    def __repr__(self) -> str:
        return f"<Overview of {self.records} records: {len(self._places.rows)} rows, {len(self._open)} connections open>"

    def add(self, record: Record) -> None:
        """Take in the next record of the stream."""
        self.records += 1
        add = self._add.get(type(record))
        if add is None:
            return
        add(record)
        self._findings.consume(record)

    def know(self, record: Client | Pool | Connection) -> None:
        """Something from before the stream began: it gets its own row, and is not counted as new."""
        self._findings.know(record)
        if isinstance(record, Client):
            self._clients.know(record)
        else:
            self._add[type(record)](record)

    def findings(self) -> list[Finding]:
        """What the rules have found so far, without hidden findings."""
        return [finding for finding in self.found() if self.shows is None or self.shows(finding)]

    def found(self) -> list[Finding]:
        """All that the rules have found so far."""
        return self._findings.found()

    def _reached(self, *sites: CallSite | None) -> None:
        for site in sites:
            if site is not None and (len(self.lines) < LINES or site in self.lines):
                self.lines.add(site)

    @property
    def failed_rules(self) -> dict[str, str]:
        """Codes of the rules that were switched off, and the class of what they raised."""
        return self._findings.failed

    def rows(self) -> list[Row]:
        """All rows, in the order in which they first appeared."""
        return list(self._places.rows.values())

    def all_connections(self) -> dict[Row, Tally]:
        """For every row the sums over its connections, those still open included."""
        tallies: dict[Row, Tally] = {}
        for row in self._places.rows.values():
            tallies[row] = tally = Tally()
            tally.merge(row.finished)
        for entry in self._open.values():
            tallies[entry.row].add(entry.lane.connection)
        return tallies

    def all_lanes(self) -> dict[Row, LaneSample]:
        """For every row its sample of lanes, those still open included."""
        samples = {row: row.lanes.copy() for row in self._places.rows.values()}
        for entry in self._open.values():
            samples[entry.row].add(entry.lane)
        return samples

    def in_progress(self) -> list[Exchange]:
        """Requests that are not over as far as known, the oldest first."""
        records = [record for _, record in self._in_progress.values()]
        return sorted(records, key=lambda record: record.started_at or 0.0)

    def age(self, record: Exchange) -> float:
        """Seconds from its start to the end of its process, or to the newest time known of that process."""
        summary = self.summaries.get(record.pid)
        until = self._newest.get(record.pid, 0.0) if summary is None else summary.ended_at
        return max(until - (record.started_at or until), 0.0)

    def side_by_side(self) -> str:
        """``20 threads``, if requests were sent from more than one thread, task or process; else empty."""
        processes = len({pid for pid, _, _ in self._runners})
        threads = len({(pid, thread) for pid, thread, _ in self._runners})
        tasks = len(self._runners)
        if tasks < 2:
            return ""
        more = " or more" if tasks >= CAP else ""
        if tasks > threads:
            return f"{tasks:,}{more} tasks"
        return f"{threads:,}{more} threads" if threads > processes else f"{processes:,}{more} processes"

    def opened(self) -> Counter[Row]:
        """For every row how many connections it has opened so far."""
        counts = Counter({row: row.finished.opened for row in self._places.rows.values()})
        for entry in self._open.values():
            connection = entry.lane.connection
            counts[entry.row] += connection.opened_at is not None and not connection.inherited
        return counts

    @property
    def clients(self) -> int:
        """Clients that were built, each counted once, in however many forked processes it is used."""
        return self._clients.built

    @property
    def clients_unused(self) -> int:
        """Clients closed without a request."""
        return self._clients.unused

    @property
    def construction(self) -> float:
        """Seconds in which clients were built."""
        return self._clients.construction

    @property
    def still_open(self) -> int:
        """Connections that are open, or were when the stream ended; each counts in the process that opened it."""
        inherited = sum(entry.lane.connection.inherited for entry in self._open.values())
        return len(self._open) - inherited + self._left_open

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to report."""
        seen = self.records - len(self.headers) - len(self.summaries)
        summaries = self.summaries.values()
        return not seen and not any(
            end.facts_dropped or end.hooks_disabled or end.children_not_followed for end in summaries
        )

    @property
    def capped(self) -> bool:
        """Whether some origins or call sites were summed up as ``other``."""
        return self._places.capped

    def _header(self, record: Header) -> None:
        if len(self.headers) < CAP or record.pid in self.headers:
            self.headers[record.pid] = record
        else:
            self.more_processes += 1

    def _summary(self, record: Summary) -> None:
        if len(self.summaries) < CAP or record.pid in self.headers:
            self.summaries[record.pid] = record

    def _client(self, record: Client) -> None:
        self._reached(record.call_site, record.sdk_call_site)
        self._clients.add(record)

    def _pool(self, record: Pool) -> None:
        known = self._clients.open(record.pid, record.client)
        if known is not None:
            known.limits = Limits.of(record)
            for row in known.rows.values():
                row.limits = known.limits.shared(row.limits)

    def _connection(self, record: Connection) -> None:
        self.routes.connection(record)
        key = (record.pid, record.id)
        entry = self._open.get(key)
        if entry is None:
            if key in self._left:
                self._end_left(key, record)
                return
            failed = record.failed_phase is not None
            if key in self._past_connections or (
                self._left_open and record.closed_at is not None and not failed
            ):
                return
            if len(self._open) >= OPEN:
                self._leave_oldest_open()
            entry = self._open[key] = OpenConnection(
                Lane(record), self._row(record.pid, record.client, record.origin, None)
            )
        else:
            entry.lane.connection = record
        if record.closed_at is None and record.failed_phase is None:
            return
        self._finish(key, self._open.pop(key))

    def _leave_oldest_open(self) -> None:
        key = next(iter(self._open))
        entry = self._open.pop(key)
        self._sum_up(entry)
        self._left.put(key, entry.row)
        self._left_open += not entry.lane.connection.inherited

    def _end_left(self, key: Key, record: Connection) -> None:
        """A connection that counts as left open: only its end is news."""
        if record.closed_at is None:
            return
        row = self._left.pop(key)
        self._past_connections.put(key, row)
        if not record.inherited:
            row.finished.add_end(record)
            self._left_open -= 1

    def _finish(self, key: Key, entry: OpenConnection) -> None:
        self._sum_up(entry)
        self._past_connections.put(key, entry.row)

    def _sum_up(self, entry: OpenConnection) -> None:
        entry.row.finished.add(entry.lane.connection)
        entry.row.lanes.add(entry.lane)

    def _exchange(self, record: Exchange) -> None:
        self._reached(record.call_site)
        key = (record.pid, record.id)
        at = record.finished_at or record.headers_at or record.started_at or 0.0
        if len(self._newest) < CAP or record.pid in self._newest:
            self._newest[record.pid] = max(at, self._newest.get(record.pid, 0.0))
        earlier = self._in_progress.pop(key, None)
        if earlier is not None:
            row, before = earlier
            row.add_exchange(before, -1)
            self._count_on_lane(before, -1)
        if len(self._runners) < CAP:
            self._runners.add((record.pid, record.thread, record.task))
        if record.state is not None and len(self._in_progress) >= LEFT:
            return  # it counts when it is over
        row = self._row_for(record)
        row.add_exchange(record)
        if record.state is None:
            self.routes.exchange(record)
        else:
            self._in_progress[key] = row, record
            self._count_on_lane(record, 1)

    def _count_on_lane(self, record: Exchange, times: int) -> None:
        entry = None if record.connection is None else self._open.get((record.pid, record.connection))
        if entry is not None:
            entry.lane.in_progress += times

    def _row_for(self, record: Exchange) -> Row:
        row: Row | None = None
        if record.connection is not None:
            key = (record.pid, record.connection)
            entry = self._open.get(key)
            if entry is not None:
                if record.state is None:
                    entry.lane.add(record)
                row = entry.row
            else:
                row = self._past_connections.get(key) or self._left.get(key)
        # A connection of another origin carries the request of a forward proxy; the client decides then.
        if row is None or row.origin != record.origin:
            row = self._row(record.pid, record.client, record.origin, record.call_site)
        return row

    def _row(self, pid: int, client: int | None, origin: str, call_site: CallSite | None) -> Row:
        known = self._clients.get(pid, client)
        origin = self._places.origin(origin)
        if known is None:
            return self._places.row(
                origin, self._places.site(UNSEEN.kind, call_site, None) if call_site else UNSEEN
            )
        row = known.rows.get(origin)
        if row is not None:
            return row
        row = self._places.row(origin, known.site)
        if len(known.rows) >= (CAP if self.clients <= FEW else ROWS_OF_A_CLIENT):
            return row
        row.clients += 1
        self._clients.is_used(known)
        if not known.rows:
            row.construction += known.construction
        if known.limits is not None:
            row.limits = known.limits.shared(row.limits)
        known.rows[origin] = row
        return row


def of(records: Iterable[Record]) -> Overview:
    """The overview of a whole stream."""
    overview = Overview()
    for record in records:
        overview.add(record)
    return overview

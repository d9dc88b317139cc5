"""Chrome's trace format, for Perfetto: a process for each client, a track for each connection.

Setup and requests are slices on the connection's track; HTTP/2 streams, waits for a connection and requests
that got none overlap, so they are async slices of the client.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from poolscope.records import Client, Connection, Exchange, Header, Record
from poolscope.reports.lanes import PHASES, Bar
from poolscope.reports.occupancy import Occupancy
from poolscope.reports.renderer import Look, Renderer, Write
from poolscope.reports.tally import WAITED
from poolscope.reports.tracker import InProgress, Tracker, is_over
from poolscope.reports.words import plain

ALL: Final = 1
"""The process that has the counters of the whole run."""
Event = dict[str, Any]


def renderer(write: Write, _: Look) -> Renderer:
    """A trace, as one of the formats."""
    return Trace(write)


class _Track:
    """A connection's track, and the end of its newest request."""

    __slots__ = ("busy_until", "process", "record", "thread")

    def __init__(self, process: int, thread: int, record: Connection) -> None:
        self.process = process
        self.thread = thread
        self.record = record
        self.busy_until = 0.0


class Trace:
    """Writes each event as soon as its record comes; only the counters wait for the end."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._zero = 0.0
        self._last = 0.0
        self._begun = False
        self._numbers = ALL
        self._processes: Tracker[int] = Tracker()
        self._tracks: Tracker[_Track] = Tracker()
        self._in_progress = InProgress()
        self._occupancy = Occupancy()

    def __repr__(self) -> str:
        return f"<Trace of {self._numbers} processes and tracks>"

    def add(self, record: Record) -> None:
        """Take in the next record."""
        if isinstance(record, Exchange):
            if self._in_progress.over(record):
                self._put(self._exchange(record))
        elif isinstance(record, Connection):
            self._put(self._connection(record))
        elif isinstance(record, Client):
            self._put(self._client(record))
        elif isinstance(record, Header) and not self._begun:
            self._begin(record)

    def go_on(self, pids: set[int]) -> None:
        """These processes are still running: their requests in progress say so already."""

    def finish(self) -> None:
        """Write what is in progress, the counters, and the end."""
        if not self._begun:
            self._begin(None)
        for record in self._in_progress:
            self._put(self._exchange(record))
        self._put(self._counters())
        self._write('\n],"displayTimeUnit":"ms"}\n')

    def _begin(self, header: Header | None) -> None:
        self._begun = True
        self._zero = header.started_at if header else 0.0
        program = (header.program if header else None) or "all connections"
        self._write('{"traceEvents":[\n')
        self._write(json.dumps({"ph": "M", "pid": ALL, "name": "process_name", "args": {"name": program}}))

    def _put(self, events: Iterator[Event]) -> None:
        for event in events:
            self._write(",\n" + json.dumps(event, separators=(",", ":")))

    def _micros(self, at: float) -> float:
        self._last = max(self._last, at)
        return round((at - self._zero) * 1e6, 3)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _client(self, record: Client) -> Iterator[Event]:
        key = (record.pid, record.id)
        if is_over(record):
            self._processes.end(key)
            return
        if self._processes.is_open(key):
            return
        number = self._processes[key] = self._number()
        site = record.call_site or record.sdk_call_site
        where = f" {site.at(site.file.rpartition('/')[2])}" if site else ""
        yield from _named("process", number, number, f"{record.kind}{where} #{record.id}")
        yield from _named("thread", number, number, "the client itself")
        if record.created_at is not None and record.construction_time:
            facts = {
                "call_site": str(record.call_site or ""),
                "sdk_call_site": str(record.sdk_call_site or ""),
            }
            end = record.created_at + record.construction_time
            yield self._slice(number, number, f"building {record.kind}", record.created_at, end, facts)

    def _process(self, pid: int, client: int | None) -> Iterator[Event]:
        """Make sure that there is a process for a client; a client that was not seen gets its own."""
        if self._processes.get(pid, client) is None:
            number = self._processes[pid, client or 0] = self._number()
            yield from _named("process", number, number, f"client not seen ({pid})")

    def _connection(self, record: Connection) -> Iterator[Event]:
        key = (record.pid, record.id)
        track = self._tracks.get(*key)
        if track is None:
            yield from self._process(record.pid, record.client)
            process = self._processes.get(record.pid, record.client) or ALL
            track = self._tracks[key] = _Track(process, self._number(), record)
            yield from _named("thread", process, track.thread, f"#{record.id} {record.origin}")
            yield from self._setup(track, record)
            if record.opened_at is not None and not record.inherited:
                self._occupancy.opened(record.opened_at)
        elif not self._tracks.is_open(key):
            return
        track.record = record
        if is_over(record):
            self._tracks.end(key)
            yield from self._close(track, record)

    def _setup(self, track: _Track, record: Connection) -> Iterator[Event]:
        total = record.setup.get("total")
        if total is None:
            return
        end = total.start + total.duration
        failed = record.failed_phase is not None
        name = f"setup failed in {plain(record.failed_phase or '')}" if failed else "setup"
        facts = {"peer": record.peer_address, "http": record.http_version, "tls": record.tls_version}
        yield self._slice(
            track.process, track.thread, name, total.start, end, {**facts, "error": record.error}
        )
        for phase in PHASES:
            part = record.setup.get(phase)
            if part is not None:
                start, stop = max(total.start, part.start), min(end, part.start + part.duration)
                yield self._slice(
                    track.process, track.thread, plain(phase), start, max(start, stop), {"busy": part.busy}
                )
        track.busy_until = end

    def _close(self, track: _Track, record: Connection) -> Iterator[Event]:
        if record.closed_at is None:
            return
        if record.opened_at is not None and not record.inherited:
            self._occupancy.closed((record.pid, record.id), record.closed_at)
        reason = record.close_reason or f"failed in {record.failed_phase}"
        facts = {"close_reason": record.close_reason, "closed_by": record.closed_by, "error": record.error}
        yield {
            "ph": "i",
            "s": "t",
            "pid": track.process,
            "tid": track.thread,
            "name": f"✕ {plain(reason)}",
            "ts": self._micros(record.closed_at),
            "args": _known(facts),
        }

    def _exchange(self, record: Exchange) -> Iterator[Event]:
        track = None
        if record.connection is not None:
            track = self._tracks.get(record.pid, record.connection)
        yield from self._process(record.pid, record.client)
        process = self._processes.get(record.pid, record.client) or ALL
        yield from self._waiting(process, record)
        bar = Bar.of(record, track.record.opened_at if track and not record.reused else None)
        end = record.finished_at or record.headers_at or (max(self._last, bar.start or 0.0))
        if bar.start is None:
            return
        start = min(bar.start, end)
        if track is None:
            yield from self._async(process, "no connection", record, record.started_at or start, end)
            return
        if track.record.opened_at is not None and not track.record.inherited:
            self._occupancy.busy((record.pid, track.record.id), start, end, record.stream_id is not None)
        if record.stream_id is not None:
            yield from self._async(track.process, f"streams of #{track.record.id}", record, start, end)
        else:
            yield from self._on_track(track, record, min(max(start, track.busy_until), end), end)

    def _on_track(self, track: _Track, record: Exchange, start: float, end: float) -> Iterator[Event]:
        """Without streams a connection serves one request after the other."""
        track.busy_until = end
        name, facts = _name(record), _facts(record)
        yield self._slice(track.process, track.thread, name, start, end, facts)
        sent, headers = record.sent_at or start, record.headers_at
        if headers is not None and start <= sent <= headers <= end:
            yield self._slice(track.process, track.thread, "waiting for the answer", sent, headers, {})
            yield self._slice(track.process, track.thread, "reading", headers, end, {})

    def _waiting(self, process: int, record: Exchange) -> Iterator[Event]:
        wait, start = record.pool_wait or 0.0, record.started_at
        if start is None or wait < WAITED:
            return
        self._occupancy.waited(start, start + wait)
        what = "stream" if record.waited_for == "stream" else "connection"
        yield from self._async(process, f"waiting for a {what}", record, start, start + wait)

    def _slice(
        self, process: int, thread: int, name: str, start: float, end: float, facts: dict[str, Any]
    ) -> Event:
        at = self._micros(start)
        return {
            "ph": "X",
            "pid": process,
            "tid": thread,
            "name": name,
            "ts": at,
            "dur": round(self._micros(end) - at, 3),
            "args": _known(facts),
        }

    def _async(self, process: int, kind: str, record: Exchange, start: float, end: float) -> Iterator[Event]:
        known = {"cat": kind, "id2": {"local": f"0x{self._number():x}"}, "pid": process, "tid": process}
        name = kind if kind.startswith("waiting") else _name(record)
        yield {"ph": "b", "name": name, **known, "ts": self._micros(start), "args": _facts(record)}
        yield {"ph": "e", "name": name, **known, "ts": self._micros(end)}

    def _counters(self) -> Iterator[Event]:
        for name, at, value in self._occupancy.series():
            yield {
                "ph": "C",
                "pid": ALL,
                "name": name,
                "ts": self._micros(at),
                "args": {_counted(name): value},
            }


def _named(what: str, process: int, thread: int, name: str) -> Iterator[Event]:
    yield {"ph": "M", "pid": process, "tid": thread, "name": f"{what}_name", "args": {"name": name}}


def _counted(series: str) -> str:
    return "requests" if series == "waiting" else "connections"


def _name(record: Exchange) -> str:
    outcome = record.error or record.status or plain(record.state or "no answer")
    return f"{record.method or 'request'} {outcome}"


def _facts(record: Exchange) -> dict[str, Any]:
    return _known(
        {
            "id": record.id,
            "url": record.url,
            "status": record.status,
            "error": record.error,
            "call_site": str(record.call_site) if record.call_site else None,
            "request_number": record.request_number,
            "reused": record.reused,
            "idle_time": record.idle_time,
            "pool_wait": record.pool_wait,
            "stream_id": record.stream_id,
        }
    )


def _known(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}

"""HAR 1.2, for everything that reads HTTP archives: one entry for each request, with its connection.

Headers, cookies and bodies are not recorded, so their lists are empty and their sizes −1. The times of an entry add
up to the request's duration; a part that was not seen counts with the part before it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from poolscope.records import Connection, Exchange, Header, Record
from poolscope.reports.lanes import Bar
from poolscope.reports.renderer import Look, Renderer, Write
from poolscope.reports.tracker import InProgress, Tracker, is_in_progress, is_over
from poolscope.reports.words import count

VERSIONS: Final = {"1.0": "HTTP/1.0", "1.1": "HTTP/1.1", "2": "HTTP/2", "3": "HTTP/3"}
_NOT_RECORDED: Final[dict[str, Any]] = {"cookies": [], "headers": [], "headersSize": -1, "bodySize": -1}
PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


def renderer(write: Write, _: Look) -> Renderer:
    """An HTTP archive, as one of the formats."""
    return Archive(write)


class Archive:
    """Writes each entry as soon as its request is over."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._headers: dict[int, Header] = {}
        self._connections: Tracker[Connection] = Tracker()
        self._in_progress = InProgress()
        self._entries = 0
        self._timeless = 0

    def __repr__(self) -> str:
        return f"<Archive of {self._entries} entries>"

    def add(self, record: Record) -> None:
        """Take in the next record."""
        if isinstance(record, Exchange):
            if self._in_progress.over(record):
                self._put(record)
        elif isinstance(record, Connection):
            self._connections[record.pid, record.id] = record
            if is_over(record):
                self._connections.end((record.pid, record.id))
        elif isinstance(record, Header):
            if not self._headers:
                self._begin(record)
            self._headers[record.pid] = record

    def go_on(self, pids: set[int]) -> None:
        """These processes are still running: their requests in progress say so already."""

    def finish(self) -> None:
        """Write what is in progress, and the end."""
        if not self._headers:
            self._begin(None)
        for record in self._in_progress:
            self._put(record)
        one = self._timeless == 1
        left_out = (
            f"{count(self._timeless, 'request')} without a known start {'is' if one else 'are'} left out"
        )
        comment = f',"comment":{json.dumps(left_out)}' if self._timeless else ""
        self._write(f"\n]{comment}}}}}\n")

    def _begin(self, header: Header | None) -> None:
        creator = {"name": "poolscope", "version": header.poolscope if header else ""}
        self._write(f'{{"log":{{"version":"1.2","creator":{json.dumps(creator)},"entries":[\n')

    def _put(self, record: Exchange) -> None:
        header = self._headers.get(record.pid)
        if record.started_at is None or header is None:
            self._timeless += 1
            return
        connection = None
        if record.connection is not None:
            connection = self._connections.get(record.pid, record.connection)
        text = json.dumps(entry(record, connection, header), separators=(",", ":"))
        self._write(f",\n{text}" if self._entries else text)
        self._entries += 1


def entry(record: Exchange, connection: Connection | None, header: Header) -> dict[str, Any]:
    """One request as HAR has it."""
    timings = timings_of(record, connection)
    version = VERSIONS.get((connection and connection.http_version) or "", "")
    made: dict[str, Any] = {
        "startedDateTime": _wall(header.wall_at_zero + (record.started_at or 0.0)),
        "time": round(sum(time for name, time in timings.items() if time != -1 and name != "ssl"), 6),
        "request": _request(record, version),
        "response": _response(record, version),
        "cache": {},
        "timings": timings,
    }
    if record.connection is not None:
        made["connection"] = made["_connectionId"] = f"{record.pid}#{record.connection}"
    if connection is not None and connection.peer_address is not None:
        made["serverIPAddress"] = connection.peer_address
    if record.call_site is not None and record.call_site.has_file:
        made["_initiator"] = {
            "type": "script",
            "url": record.call_site.file,
            "lineNumber": record.call_site.line,
        }
    if record.error is not None:
        made["_error"] = record.error
    if is_in_progress(record):
        made["comment"] = "in progress when this was written"
    return made


def timings_of(record: Exchange, connection: Connection | None) -> dict[str, float]:
    """Milliseconds; −1 for a part that this request did not have."""
    start = record.started_at or 0.0
    end = max((at for at in (record.finished_at, record.headers_at, record.sent_at) if at), default=start)
    opened_it = connection is not None and opened(record, connection)
    ready = Bar.of(record, connection.opened_at if connection and opened_it else None).start or start
    if record.connection is None:
        ready = end
    ready = min(max(ready, start), end)
    dns, connect, ssl = _setup(connection) if connection and opened_it else (-1.0, -1.0, -1.0)
    sent = min(max(record.sent_at or ready, ready), end)
    headers = min(max(record.headers_at or end, sent), end)
    blocked = ready - start - sum(part for part in (dns, connect) if part != -1)
    parts = {
        "blocked": max(0.0, blocked),
        "dns": dns,
        "connect": connect,
        "ssl": ssl,
        "send": sent - ready,
        "wait": headers - sent,
        "receive": end - headers,
    }
    return {name: -1 if part == -1 else round(part * 1000, 6) for name, part in parts.items()}


def opened(record: Exchange, connection: Connection) -> bool:
    """Whether the connection was set up for this request, and in its time."""
    total = connection.setup.get("total")
    if total is not None and total.start < (record.started_at or 0.0):
        return False
    if connection.opened_by is not None:
        return connection.opened_by == record.id
    return record.request_number == 1 and record.reused is False and not record.joined


def _setup(connection: Connection) -> tuple[float, float, float]:
    """dns, connect and ssl; as HAR demands, connect is the whole setup except the lookup, TLS included."""
    setup = connection.setup
    if "total" not in setup:
        return -1.0, -1.0, -1.0
    dns = setup["dns"].duration if "dns" in setup else -1.0
    ssl = setup["tls"].duration if "tls" in setup else -1.0
    return dns, setup["total"].duration - max(dns, 0.0), ssl


def _request(record: Exchange, version: str) -> dict[str, Any]:
    return {
        "method": record.method or "",
        "url": record.url or record.origin,
        "httpVersion": version,
        "queryString": [],
        **_NOT_RECORDED,
    }


def _response(record: Exchange, version: str) -> dict[str, Any]:
    return {
        "status": record.status or 0,
        "statusText": PHRASES.get(record.status or 0, ""),
        "httpVersion": version if record.status else "",
        "content": {"size": -1, "mimeType": ""},
        "redirectURL": "",
        **_NOT_RECORDED,
    }


def _wall(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""What an overview keeps of clients and connections while they are open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from poolscope.findings.known import Bounded, Key
from poolscope.records import Client, Header
from poolscope.reports.lanes import Lane
from poolscope.reports.places import Places
from poolscope.reports.tally import Limits, Row, Site

RECENT: Final = 1_024
"""Closed clients and connections still recognised when a straggler names them."""
OPEN: Final = 10_000
"""Clients, and as many connections, that are followed while open; beyond that the oldest counts as left open."""
GENERATIONS: Final = 16
"""How many processes are searched for an inherited client, from parent to parent."""


@dataclass(slots=True, eq=False)
class KnownClient:
    """A client: where it was built, and what is counted once it is used.

    A process and its forked children share one.
    """

    site: Site
    construction: float = 0.0
    limits: Limits | None = None
    rows: dict[str, Row] = field(default_factory=dict)
    expected: bool = False
    """So far only a forked child has named it."""
    unused: bool = False


@dataclass(slots=True, eq=False)
class OpenConnection:
    """A connection that has not been closed, and the row it belongs to."""

    lane: Lane
    row: Row


class KnownClients:
    """Clients by process and number, each counted once, in however many forked processes it is used."""

    def __init__(self, places: Places, headers: Mapping[int, Header]) -> None:
        self.built = 0
        self.unused = 0
        """Clients closed without a request."""
        self.construction = 0.0
        self._places = places
        self._headers = headers
        self._open: dict[Key, KnownClient] = {}
        self._past: Bounded[Key, KnownClient] = Bounded(RECENT)
        self._left = 0

    def __repr__(self) -> str:
        return f"<KnownClients {self.built} built, {len(self._open)} open>"

    def open(self, pid: int, number: int | None) -> KnownClient | None:
        """A client that is not closed yet."""
        return None if number is None else self._open.get((pid, number))

    def get(self, pid: int, number: int | None) -> KnownClient | None:
        """A client, closed or not."""
        return None if number is None else self._find((pid, number))

    def _find(self, key: Key) -> KnownClient | None:
        return self._open.get(key) or self._past.get(key)

    def know(self, record: Client) -> None:
        """A client from before the stream began is not counted."""
        self._open[record.pid, record.id] = KnownClient(self._site(record))

    def add(self, record: Client) -> None:
        """A client was built, or is over."""
        key = (record.pid, record.id)
        known = self._open.get(key)
        if known is None:
            past = self._past.get(key)
            if past is None and self._left and record.close_kind is not None:
                return
            if past is not None and not past.expected:
                return
            if len(self._open) >= OPEN:
                self._leave_oldest()
            known = self._open[key] = past or self._first(record)
            self._add_construction(known, record)
        if record.closed_at is not None or record.close_kind is not None:
            self._end(key, known, record)

    def is_used(self, known: KnownClient) -> None:
        """It sends its first request to an origin."""
        if known.unused:
            known.unused = False
            self.unused -= 1

    def _first(self, record: Client) -> KnownClient:
        """Count it, unless a process above has it."""
        first = None
        for first in self._above(record):
            known = self._find(first)
            if known is not None:
                return known
        self.built += 1
        known = KnownClient(self._site(record), expected=first is not None)
        if first is not None:
            self._past.put(first, known)
        return known

    def _above(self, record: Client) -> Iterator[Key]:
        """Its number in each process that it may have been inherited from."""
        pid: int | None = record.pid
        for _ in range(GENERATIONS):
            header = None if pid is None else self._headers.get(pid)
            pid = None if header is None else header.parent
            if record.inherited_from is None or pid is None:
                return
            yield pid, record.inherited_from

    def _add_construction(self, known: KnownClient, record: Client) -> None:
        if record.inherited_from is not None:
            return
        known.expected = False
        known.construction = record.construction_time or 0.0
        self.construction += known.construction
        for row in list(known.rows.values())[:1]:
            row.construction += known.construction

    def _end(self, key: Key, known: KnownClient, record: Client) -> None:
        if not known.rows and not record.requests and not known.unused:
            known.unused = True
            self.unused += 1
        if record.inherited_from is None:
            for row in known.rows.values():
                row.credentials.add(record)
        del self._open[key]
        self._past.put(key, known)

    def _leave_oldest(self) -> None:
        key = next(iter(self._open))
        self._past.put(key, self._open.pop(key))
        self._left += 1

    def _site(self, record: Client) -> Site:
        return self._places.site(record.kind, record.call_site, record.sdk_call_site)

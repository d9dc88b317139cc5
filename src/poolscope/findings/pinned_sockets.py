"""PS114: connections that stay open after their client is gone, because something still holds them.

It fires for a line where, at one time, at least `MIN_PINNED` clients were closed or garbage-collected and had all
their answers, and each still had an open connection `PINNED_FOR` seconds later, or when the program ended. Clients that
share a pool count once: their pool is meant to outlive them.
"""

from __future__ import annotations

from typing import ClassVar, Final

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Key, Place
from poolscope.records import Client, Connection, Exchange, Finding, Severity

MIN_PINNED: Final = 10
PINNED_FOR: Final = 1.0
MAX_CLIENTS: Final = 2_048


class _Used:
    """A client and its open connections."""

    __slots__ = ("answers", "client", "connections")

    def __init__(self) -> None:
        self.answers = 0
        self.connections: dict[Key, int] = {}
        """Its open connections, and their pools."""
        self.client: Client | None = None
        """Its last record."""

    def is_over(self) -> bool:
        return self.client is not None and self.answers >= self.client.requests


class _Pinned:
    """The pools of one line that are open though their clients are gone."""

    __slots__ = ("_long", "_young", "peak")

    def __init__(self) -> None:
        self._young: dict[int, float] = {}
        """Pool → since when, the oldest first."""
        self._long: set[int] = set()
        self.peak = 0

    def add(self, pool: int, since: float) -> None:
        if pool not in self._long:
            self._young.setdefault(pool, since)
        self.ages(since)

    def ages(self, at: float) -> None:
        """The time is ``at``: some have been open for long."""
        while self._young:
            pool = next(iter(self._young))
            if self._young[pool] > at - PINNED_FOR:
                return
            self.stays(pool)

    def ends(self, pool: int, at: float) -> None:
        """A connection of ``pool`` is closed."""
        self.ages(at)
        self._young.pop(pool, None)
        self._long.discard(pool)

    def stays(self, pool: int) -> None:
        """It has been open for long, or is still open at the end."""
        self._young.pop(pool, None)
        self._long.add(pool)
        self.peak = max(self.peak, len(self._long))


class PinnedSockets(Rule):
    """The rule. State: one small object per client with open connections, and per line the pools that are open."""

    code: ClassVar[str] = "PS114"
    title: ClassVar[str] = "sockets pinned open"
    severity: ClassVar[Severity] = "info"
    adds_up: ClassVar[bool] = True
    explanation: ClassVar[str] = (
        "A response refers to the pool that it came from. Keeping responses, even those that were read to their "
        "end, keeps their connections open, even if the client was closed or thrown away."
    )

    def __init__(self) -> None:
        self._used: Bounded[Key, _Used] = Bounded(MAX_CLIENTS)
        self._places: Bounded[Place, _Pinned] = Bounded()
        self._pinned: dict[Key, tuple[_Pinned, int]] = {}
        """Connection → its place, and its pool; when the table is full, no more are counted."""

    def connection(self, record: Connection) -> None:
        """Follow it from its first record to its last; if it is open at the end, there is another in between."""
        key = record.pid, record.id
        if record.closed_at is not None:
            self._closed(key, record)
        elif key in self._pinned:
            pinned, pool = self._pinned[key]
            pinned.stays(pool)
        elif record.client is not None and record.pool is not None and record.opened_at is not None:
            used = self._used.get_or_put((record.pid, record.client), _Used)
            if used.client is None:
                used.connections[key] = record.pool

    def _closed(self, key: Key, record: Connection) -> None:
        pinned = self._pinned.pop(key, None)
        if pinned is not None:
            place, pool = pinned
            place.ends(pool, record.closed_at or 0.0)
        used = self._used.get((record.pid, record.client or 0))
        if used is not None:
            used.connections.pop(key, None)

    def exchange(self, record: Exchange) -> None:
        """Count an answer; after the end of its client it may be the last answer to be read."""
        used = self._used.get((record.pid, record.client or 0))
        if used is not None:
            used.answers += 1
            self._look(used, record.finished_at)

    def client(self, record: Client) -> None:
        """See which connections a client leaves behind."""
        used = self._used.get((record.pid, record.id))
        if used is not None and record.closed_at is not None:
            used.client = record
            self._look(used, record.closed_at)

    def _look(self, used: _Used, at: float | None) -> None:
        client = used.client
        if client is None or at is None or not used.is_over():
            return
        self._used.pop((client.pid, client.id), None)
        if not used.connections or len(self._pinned) >= MAX_CLIENTS:
            return
        place = Place.of_client(client)
        pinned = self._places.get_or_put(place, _Pinned)
        key, pool = next(iter(used.connections.items()))  # any of them will do to count the client
        pinned.add(pool, at)
        self._pinned[key] = pinned, pool

    def findings(self) -> list[Finding]:
        """One per process and line."""
        return [
            self._finding(place, pinned)
            for place, pinned in self._places.items()
            if pinned.peak >= MIN_PINNED
        ]

    def _finding(self, place: Place, pinned: _Pinned) -> Finding:
        return self.finding(
            place,
            pinned.peak,
            f"{pinned.peak:,} connections of clients ({place.kind}) that were gone stayed open, with all answers read: "
            "something holds them, most often a kept response.",
            "Keep what you need of an answer (response.content, response.json()), not the response; or share one client, "
            "which reuses its connections.",
        )

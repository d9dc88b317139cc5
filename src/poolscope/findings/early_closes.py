"""PS111: idle connections are closed as too many, although the pool may keep more than it has.

It fires for a client's line where at least `MIN_EARLY` connections were closed that way while fewer were idle than the
client may keep, and others were opened to the same origins while those could still have served.
"""

from __future__ import annotations

from typing import ClassVar, Final

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Place, setup_time
from poolscope.findings.replaced import Gone
from poolscope.records import Connection, Finding, Severity

MIN_EARLY: Final = 3


class _Early:
    __slots__ = ("closed", "cost", "gone", "limit", "origins", "reopened")

    def __init__(self) -> None:
        self.closed = self.reopened = 0
        self.gone: Bounded[str, Gone] = Bounded()
        """By origin."""
        self.origins: set[str] = set()
        """Two of them are as good as all."""
        self.limit = 0
        self.cost = 0.0


class EarlyCloses(Rule):
    """The rule. State: a few numbers per line."""

    code: ClassVar[str] = "PS111"
    title: ClassVar[str] = "idle connections closed early"
    severity: ClassVar[Severity] = "info"
    explanation: ClassVar[str] = (
        "httpcore 1 compares the limit for idle connections with the number of all connections. While more than that are "
        "busy, every connection that becomes idle is closed."
    )

    def __init__(self) -> None:
        self._early: Bounded[Place, _Early] = Bounded()

    def connection(self, record: Connection) -> None:
        """Count a connection that was closed early, or one opened in its place."""
        if record.closed_at is None:
            self._opened(record)
            return
        if record.close_reason != "max_keepalive_surplus" or record.idle_left is None:
            return
        pool = self.known.pool(record.pid, record.pool)
        if pool is None or pool.max_idle is None or record.idle_left >= pool.max_idle:
            return
        early = self._early.get_or_put(self._line(record), _Early)
        early.closed += 1
        early.gone.get_or_put(record.origin, Gone).add(record, pool.keepalive_expiry)
        if len(early.origins) < 2:
            early.origins.add(record.origin)
        early.limit = pool.max_idle
        early.cost += record.close_time or 0.0

    def _opened(self, record: Connection) -> None:
        if not self._early or record.opened_at is None or not self.known.is_first:
            return
        early = self._early.get(self._line(record))
        gone = None if early is None else early.gone.get(record.origin)
        if early is not None and gone is not None and gone.is_replaced_by(record):
            early.reopened += 1
            early.cost += setup_time(record)

    def _line(self, record: Connection) -> Place:
        """The limit is that of the client, whatever it talks to."""
        return self.known.place_of(record)._replace(origin="")

    def findings(self) -> list[Finding]:
        """One per process and line; it names the origin if there is only one."""
        return [
            self._finding(place, early) for place, early in self._early.items() if early.reopened >= MIN_EARLY
        ]

    def _finding(self, place: Place, early: _Early) -> Finding:
        library = (place.kind or "httpx").partition(".")[0]
        [origin, *others] = early.origins
        place = place if others else place._replace(origin=origin)
        to = f" to {place.origin}" if place.origin else ""
        return self.finding(
            place,
            early.closed,
            f"{early.closed:,} connections{to} were closed as surplus, although fewer than "
            f"{early.limit:,} were idle; {early.reopened:,} were opened in their place.",
            f"Pass limits={library}.Limits(max_keepalive_connections=…) with the value of max_connections, or use "
            "httpx2, which counts only idle connections.",
            early.cost,
        )

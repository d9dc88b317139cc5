"""PS122: clients that die with the threads, batches or objects that they belong to, and take their connections along.

It fires for a line where at least `MIN_DEAD` clients with equal settings were collected unclosed after more requests
than one would call a client per request, and the next of them was built within `SOON` of another's end.
"""

from __future__ import annotations

from typing import ClassVar, Final

from poolscope.findings.base import Rule
from poolscope.findings.intervals import Moments
from poolscope.findings.known import Bounded, Place, setup_time
from poolscope.findings.lives import KEEPS_ALIVE
from poolscope.records import Client, Connection, Finding, Severity

MIN_DEAD: Final = 8
MIN_REQUESTS: Final = 3
SOON: Final = 5.0


class _Dead:
    __slots__ = ("cost", "count", "ends", "followed", "origin", "requests")

    def __init__(self) -> None:
        self.count = self.requests = self.followed = 0
        self.cost = 0.0
        self.ends = Moments()
        self.origin = ""


class DyingClients(Rule):
    """The rule. State: the setup time of each live client, and a few numbers per line and settings."""

    code: ClassVar[str] = "PS122"
    title: ClassVar[str] = "clients collected and built again"
    severity: ClassVar[Severity] = "info"
    adds_up: ClassVar[bool] = True
    explanation: ClassVar[str] = (
        "One client per thread is a good habit only while the threads live. With a new thread pool for each batch, "
        "every batch starts with new clients and new connections. So does every object that builds its own."
    )

    def __init__(self) -> None:
        self._setup: Bounded[tuple[int, int], tuple[str, float]] = Bounded(10_000)
        self._dead: Bounded[tuple[Place, int], _Dead] = Bounded()

    def connection(self, record: Connection) -> None:
        """Remember what it cost its client, and whether the server would have kept it."""
        if record.client is None or record.opened_at is None:
            return
        key = (record.pid, record.client)
        if record.closed_at is None:
            _, before = self._setup.get(key, ("", 0.0))
            self._setup.put(key, (record.origin, before + setup_time(record)))
        elif record.close_reason not in KEEPS_ALIVE:
            self._setup.pop(key, None)

    def client(self, record: Client) -> None:
        """Count it, once it was collected."""
        if record.close_kind is None:
            return
        setup = self._setup.pop((record.pid, record.id), None)
        if (
            setup is None
            or record.close_kind != "gc"
            or record.requests < MIN_REQUESTS
            or not record.settings
        ):
            return
        if record.created_at is None or record.closed_at is None:
            return
        place = Place.of_client(record, setup[0])
        dead = self._dead.get_or_put((place, record.settings), _Dead)
        dead.followed += dead.ends.take_before(record.created_at, SOON)
        dead.count += 1
        dead.requests += record.requests
        dead.cost += setup[1] + (record.construction_time or 0.0)
        dead.ends.add(record.closed_at)

    def findings(self) -> list[Finding]:
        """One per process, origin and line."""
        return [
            self._finding(place, dead)
            for (place, _), dead in self._dead.items()
            if dead.count >= MIN_DEAD and dead.followed >= MIN_DEAD // 2
        ]

    def _finding(self, place: Place, dead: _Dead) -> Finding:
        return self.finding(
            place,
            dead.count,
            f"{dead.count:,} clients ({place.kind}) were garbage-collected without a close, after "
            f"{dead.requests / dead.count:.0f} requests each to {place.origin}, and others were built in their place.",
            "Share one client among them; where each thread has its own, keep the threads (one pool for all batches).",
            dead.cost,
        )

"""PS127: the program itself asks for each connection to be closed, by a header or a setting of its client.

It fires for a client's line and an origin where at least `MIN_ASKED` connections were closed after their only request
because that request asked for it, and they are at least `SHARE` of those closed there. It is information: a health
check may want a new connection each time.
"""

from __future__ import annotations

from typing import ClassVar, Final

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Place, setup_time
from poolscope.records import Connection, Finding, Severity

MIN_ASKED: Final = 5
SHARE: Final = 0.8


class _Asked:
    __slots__ = ("asked", "closed", "cost")

    def __init__(self) -> None:
        self.asked = self.closed = 0
        self.cost = 0.0


class ClosesOnRequest(Rule):
    """The rule. State: a few numbers per line and origin."""

    code: ClassVar[str] = "PS127"
    title: ClassVar[str] = "client refuses keep-alive"
    severity: ClassVar[Severity] = "info"
    explanation: ClassVar[str] = (
        "A request with Connection: close tells the server to end the connection after the answer, so the next request "
        "pays for a new one. A health check may want that; elsewhere it is often a workaround that nobody needs any more."
    )

    def __init__(self) -> None:
        self._places: Bounded[Place, _Asked] = Bounded()

    def connection(self, record: Connection) -> None:
        """Count it, once it is closed."""
        if record.closed_at is None or record.opened_at is None or not record.requests:
            return
        seen = self._places.get_or_put(self.known.place_of(record), _Asked)
        seen.closed += 1
        asked = record.close_reason == "connection_close_header" and record.closed_by != "server"
        if asked and record.requests == 1:
            seen.asked += 1
            seen.cost += setup_time(record) + (record.close_time or 0.0)

    def findings(self) -> list[Finding]:
        """One per process, origin and line."""
        return [
            self._finding(place, seen)
            for place, seen in self._places.items()
            if seen.asked >= MIN_ASKED and seen.asked >= SHARE * seen.closed
        ]

    def _finding(self, place: Place, seen: _Asked) -> Finding:
        setting = (
            "the header Connection: close, or force_close=True of the connector"
            if (place.kind or "").startswith("aiohttp")
            else "the header Connection: close"
        )
        return self.finding(
            place,
            seen.asked,
            f"{seen.asked:,} requests to {place.origin} asked for their connection to be closed: {seen.asked:,} of "
            f"{seen.closed:,} connections served one request.",
            f"If that is not on purpose, leave out {setting}.",
            seen.cost,
        )

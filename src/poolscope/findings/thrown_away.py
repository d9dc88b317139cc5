"""PS121: timeouts and cancellations throw connections away, since a connection with an answer still to come cannot be
reused.

It fires for a line and an origin where at least `MIN_LOST` connections were closed that way. It is information where

- reuse hardly suffers: the closed connections to that origin served `MANY_SERVED` requests or more for each that was thrown away, or
- the program cancelled them all at different times: it knew that nobody waited any more. A deadline cancels after the same time.
"""

from __future__ import annotations

from typing import ClassVar, Final

from poolscope.findings.base import Rule, counted
from poolscope.findings.known import Bounded, Place, setup_time
from poolscope.records import Connection, Exchange, Finding

MIN_LOST: Final = 3
MANY_SERVED: Final = 10
ALIKE: Final = 0.2
"""If the times until a cancellation differ by at most this share, a deadline cancels."""

_TIME: Final = (
    "Allow enough time for the answer, or make it faster; give up only on requests that nobody waits for."
)
_NOTHING: Final = (
    "Nothing, if nobody waits for these answers any more; otherwise allow more time, or send fewer requests."
)


class _Lost:
    __slots__ = ("cost", "longest", "place", "reasons", "shortest")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.cost = self.longest = 0.0
        self.shortest = float("inf")
        self.reasons: dict[str, int] = {}

    def took(self, exchange: Exchange | None) -> None:
        """Note how long a request had been under way when it was given up."""
        if exchange is not None and exchange.started_at is not None and exchange.finished_at is not None:
            took = exchange.finished_at - exchange.started_at
            self.shortest, self.longest = min(self.shortest, took), max(self.longest, took)

    @property
    def by_intent(self) -> bool:
        """Whether the program cancelled them all, without a deadline."""
        return "timeout" not in self.reasons and self.shortest < (1 - ALIKE) * self.longest

    @property
    def count(self) -> int:
        return sum(self.reasons.values())


class ThrownAway(Rule):
    """The rule. State: failed requests with a connection that is not closed yet, and a few numbers per line."""

    code: ClassVar[str] = "PS121"
    title: ClassVar[str] = "requests given up throw connections away"
    explanation: ClassVar[str] = (
        "When a request times out or is cancelled, its answer is still on the way, so the connection is closed and the "
        "next request opens another. A short timeout on a slow server turns reuse off."
    )

    def __init__(self) -> None:
        self._failed: Bounded[tuple[int, int], Exchange] = Bounded()
        self._lost: Bounded[Place, _Lost] = Bounded()
        self._served: Bounded[tuple[int, str], int] = Bounded()
        """Requests on the closed connections to an origin."""

    def exchange(self, record: Exchange) -> None:
        """Remember a failed exchange, for its line."""
        if record.error is not None and record.connection is not None:
            self._failed.put((record.pid, record.connection), record)

    def connection(self, record: Connection) -> None:
        """See why the connection was closed."""
        if record.closed_at is None:
            return
        origin = (record.pid, record.origin)
        self._served.put(origin, self._served.get(origin, 0) + record.requests)
        failed = self._failed.pop((record.pid, record.id), None)
        if record.close_reason not in ("timeout", "cancelled") or record.opened_at is None:
            return
        place = self.known.place_of(failed or record)
        lost = self._lost.get_or_put(place, lambda: _Lost(place))
        lost.took(failed)
        lost.reasons[record.close_reason] = lost.reasons.get(record.close_reason, 0) + 1
        lost.cost += setup_time(record) + (record.close_time or 0.0)

    def findings(self) -> list[Finding]:
        """One per process, origin and line."""
        return [self._finding(lost) for lost in self._lost.values() if lost.count >= MIN_LOST]

    def _finding(self, lost: _Lost) -> Finding:
        timeouts, cancelled = lost.reasons.get("timeout", 0), lost.reasons.get("cancelled", 0)
        causes = counted((timeouts, "by a timeout"), (cancelled, "by a cancellation"))
        found = self.finding(
            lost.place,
            lost.count,
            f"{lost.count:,} connections to {lost.place.origin} were thrown away with a request on them: "
            f"{' and '.join(causes)}.",
            _NOTHING if lost.by_intent else _TIME,
            lost.cost,
        )
        served = self._served.get((lost.place.pid, lost.place.origin), 0)
        if lost.by_intent or served >= MANY_SERVED * lost.count:
            found.severity = "info"
        return found

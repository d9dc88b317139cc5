"""PS123: something between client and server cuts every answer that takes longer than its limit.

It fires for a line and an origin where at least `MIN_CUT` requests, on connections that were not stale, got no answer
and were cut off after waits that are all within `SPREAD` of each other, and at least `MIN_WAIT` long.
"""

from __future__ import annotations

from typing import ClassVar, Final

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Place
from poolscope.records import CloseReason, Connection, Exchange, Finding

MIN_CUT: Final = 3
MIN_WAIT: Final = 1.0
SPREAD: Final = 0.05
_REMEMBERED: Final = 100
_ENDED: Final[frozenset[CloseReason]] = frozenset(("server_closed_no_response", "reset"))


class CutWhileWaiting(Rule):
    """The rule. State: failed requests with a connection that is not closed yet, and up to 100 waits per line."""

    code: ClassVar[str] = "PS123"
    title: ClassVar[str] = "answers cut after the same wait"
    by_cost: ClassVar[bool] = False
    adds_up: ClassVar[bool] = True
    explanation: ClassVar[str] = (
        "A load balancer, proxy or firewall closes connections on which nothing has moved for a while. A slow answer "
        "looks just like that, so the client is cut off after the same wait each time."
    )

    def __init__(self) -> None:
        self._failed: Bounded[tuple[int, int], Exchange] = Bounded()
        self._waits: Bounded[Place, list[float]] = Bounded()

    def exchange(self, record: Exchange) -> None:
        """Remember an exchange that waited long and got no answer."""
        if record.error is None or record.status is not None or record.connection is None:
            return
        wait = _wait(record)
        if wait is not None and wait >= MIN_WAIT:
            self._failed.put((record.pid, record.connection), record)

    def connection(self, record: Connection) -> None:
        """See why the connection was closed."""
        if record.closed_at is None:
            return
        failed = self._failed.pop((record.pid, record.id), None)
        if failed is None or record.close_reason not in _ENDED:
            return
        waits = self._waits.get_or_put(self.known.place_of(failed), list)
        if len(waits) < _REMEMBERED:
            waits.append(_wait(failed) or 0.0)

    def findings(self) -> list[Finding]:
        """One per process, origin and line."""
        return [self._finding(place, waits) for place, waits in self._waits.items() if _fires(waits)]

    def _finding(self, place: Place, waits: list[float]) -> Finding:
        wait = sorted(waits)[len(waits) // 2]
        return self.finding(
            place,
            len(waits),
            f"{len(waits):,} requests to {place.origin} were cut off without an answer after {wait:.1f} s each time.",
            f"Something on the way closes connections that are silent for {wait:.1f} s: raise its idle timeout, answer sooner, or send "
            "something meanwhile (stream the answer, or poll for its result).",
            sum(waits),
            "waiting",
        )


def _wait(exchange: Exchange) -> float | None:
    since = exchange.sent_at if exchange.sent_at is not None else exchange.started_at
    return None if since is None or exchange.finished_at is None else exchange.finished_at - since


def _fires(waits: list[float]) -> bool:
    return len(waits) >= MIN_CUT and max(waits) - min(waits) <= SPREAD * max(waits)

"""PS125: so many requests at once on one httpx client that managing its pool blocks the event loop.

It fires for a pool in which at least `MIN_QUEUED` requests queued, while up to `MIN_BURST` or more of their line were
in flight at once.
"""

from __future__ import annotations

from typing import ClassVar, Final

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Place
from poolscope.records import Exchange, Finding

MIN_BURST: Final = 500
MIN_QUEUED: Final = 400


class _Queue:
    __slots__ = ("peak", "place", "queued")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.queued = self.peak = 0


class Burst(Rule):
    """The rule. State: two numbers for each pool with very many requests at once."""

    code: ClassVar[str] = "PS125"
    title: ClassVar[str] = "burst on one client"
    by_cost: ClassVar[bool] = False
    explanation: ClassVar[str] = (
        "httpcore 1 scans all its requests and connections whenever a request begins or ends. With very many requests "
        "in one pool that is most of the work, and on an event loop nothing else runs meanwhile."
    )

    def __init__(self) -> None:
        self._queues: Bounded[tuple[int, int], _Queue] = Bounded()

    def exchange(self, record: Exchange) -> None:
        """Count an exchange that queued among very many others."""
        at_once = record.in_flight or 0
        if at_once < MIN_BURST - MIN_QUEUED or not record.pool_wait or not record.pool:
            return
        place = self.known.place_of(record)
        if record.loop is None or (place.kind or "").partition(".")[0] != "httpx":
            return
        queue = self._queues.get_or_put((record.pid, record.pool), lambda: _Queue(place))
        queue.queued += 1
        queue.peak = max(queue.peak, at_once)

    def findings(self) -> list[Finding]:
        """One per process and pool."""
        return [self._finding(queue) for queue in self._queues.values() if _fires(queue)]

    def _finding(self, queue: _Queue) -> Finding:
        return self.finding(
            queue.place,
            queue.queued,
            f"Up to {queue.peak:,} requests to {queue.place.origin} were in flight on one {queue.place.kind}, and "
            f"{queue.queued:,} of them queued in its pool; the more requests queue, the more CPU each one costs.",
            "Start fewer at once: a few workers that take from one list, or an asyncio.Semaphore with as many places "
            "as the client has connections.",
        )


def _fires(queue: _Queue) -> bool:
    return queue.queued >= MIN_QUEUED and queue.peak >= MIN_BURST

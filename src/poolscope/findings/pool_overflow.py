"""PS104: more connections in use than the pool keeps, so they are opened, thrown away, and opened again.

It fires for a client's line and an origin where at least `MIN_REOPENED` connections were opened after as many had
been thrown away because the pool was full, while those could still have served.
"""

from __future__ import annotations

from typing import ClassVar, Final

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Place, setup_time
from poolscope.findings.replaced import Gone
from poolscope.records import Connection, Finding

MIN_REOPENED: Final = 3

_LARGER: Final = {
    "requests": "Mount HTTPAdapter(pool_maxsize={peak}) on the session",
    "urllib3": "Pass maxsize={peak} to it",
}


class _Pool:
    """One pool's connections."""

    __slots__ = ("gone", "open", "peak")

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.peak = 0
        self.gone = Gone()


class _Overflow:
    __slots__ = ("cost", "kept", "peak", "place", "reopened", "thrown_away")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.cost = 0.0
        self.reopened = self.thrown_away = self.peak = 0
        self.kept: int | None = None


class PoolOverflow(Rule):
    """The rule. State: the open connections of each pool, and a few numbers per line and origin."""

    code: ClassVar[str] = "PS104"
    title: ClassVar[str] = "pool overflow"
    explanation: ClassVar[str] = (
        "The pool opens as many connections as requests need, but keeps only some of them. A connection that returns to a "
        "full pool is closed, and the next request opens another."
    )

    def __init__(self) -> None:
        self._pools: Bounded[tuple[int, int], _Pool] = Bounded()
        self._overflows: Bounded[Place, _Overflow] = Bounded()

    def connection(self, record: Connection) -> None:
        """Count it in its pool."""
        if record.pool is None or record.opened_at is None:
            return
        pool = self._pools.get_or_put((record.pid, record.pool), _Pool)
        if record.closed_at is None:
            self._opened(pool, record)
            return
        pool.open.discard(record.id)
        if record.close_reason == "pool_full":
            known = self.known.pool(record.pid, record.pool)
            pool.gone.add(record, None if known is None else known.keepalive_expiry)
            overflow = self._overflow(record)
            overflow.thrown_away += 1
            overflow.cost += record.close_time or 0.0
            overflow.peak = max(overflow.peak, pool.peak)

    def _opened(self, pool: _Pool, record: Connection) -> None:
        if record.id in pool.open:
            return
        pool.open.add(record.id)
        pool.peak = max(pool.peak, len(pool.open))
        if pool.gone.is_replaced_by(record):
            overflow = self._overflow(record)
            overflow.reopened += 1
            overflow.cost += setup_time(record)

    def _overflow(self, record: Connection) -> _Overflow:
        place = self.known.place_of(record)
        overflow = self._overflows.get_or_put(place, lambda: _Overflow(place))
        pool = self.known.pool(record.pid, record.pool)
        overflow.kept = None if pool is None else pool.max_idle
        return overflow

    def findings(self) -> list[Finding]:
        """One per process, origin and line."""
        return [self._finding(each) for each in self._overflows.values() if each.reopened >= MIN_REOPENED]

    def _finding(self, overflow: _Overflow) -> Finding:
        kind = overflow.place.kind or "the client"
        kept = "fewer" if overflow.kept is None else f"{overflow.kept:,}"
        larger = _LARGER.get(kind.partition(".")[0], "Let its pool keep {peak} connections")
        return self.finding(
            overflow.place,
            overflow.thrown_away,
            f"{kind} had up to {overflow.peak:,} connections to {overflow.place.origin} at once and keeps {kept}: "
            f"{overflow.thrown_away:,} were thrown away and {overflow.reopened:,} opened in their place.",
            f"{larger.format(peak=overflow.peak)}, or run fewer requests at once.",
            overflow.cost,
        )

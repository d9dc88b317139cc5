"""Reports once per pool that a request waits long for a connection, and what holds the slots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from poolscope.facts import HolderState, now
from poolscope.instrumentor import INSTRUMENTOR
from poolscope.queue import FACTS
from poolscope.recording.stderr import print_text
from poolscope.reports.printable import page
from poolscope.story.live import LIVE

if TYPE_CHECKING:
    from poolscope.ledger.snapshot import Holder, Snapshot, Waiter

LONG: Final = 5.0
"""A wait is reported after this many seconds."""
SHOWN: Final = 5
"""Holders named at most."""


def somebody_waits(at: float) -> bool:
    """Whether a request has waited so long for a connection that a snapshot, of all that is live, is worth its time."""
    return any(
        sheet.connection is None and at - sheet.started_at > LONG for sheet in list(LIVE.exchanges.values())
    )


class Watch:
    """Examines snapshots, and remembers which pools it has reported."""

    def __init__(self) -> None:
        self._reported: set[int | None] = set()

    def tell(self) -> None:
        """Print that text, if there is one."""
        with FACTS.settled(1.0) as settled:
            look = settled and somebody_waits(now())
            text = self.look(INSTRUMENTOR.ledger.snapshot()) if look else None
        if text is not None:
            print_text(text)

    def look(self, snapshot: Snapshot) -> str | None:
        """The text about a long wait that has not been reported yet."""
        # A request that is connecting has a slot: slow setups are not waits.
        connecting = {c.opened_by for c in snapshot.connections if c.state == "connecting"}
        for waiter in snapshot.waiters:
            if (
                waiter.pool in self._reported
                or waiter.exchange in connecting
                or not _is_full(waiter.pool, snapshot)
            ):
                continue
            if waiter.waited > LONG:
                self._reported.add(waiter.pool)
                return describe(waiter, snapshot)
        return None


def _is_full(pool: int | None, snapshot: Snapshot) -> bool:
    """Whether the pool has no connection left. If it has, the loop or the machine is busy instead."""
    limit = next((p.max_connections for p in snapshot.pools if p.id == pool), None)
    taken = sum(c.pool == pool and c.state != "idle" for c in snapshot.connections)
    taken += sum(h.pool == pool and h.state == "not_given_back" for h in snapshot.holders)
    return limit is not None and taken >= limit


def describe(waiter: Waiter, snapshot: Snapshot) -> str:
    """Names the waiting request and those that hold the connections of its pool."""
    same_pool = [h for h in snapshot.holders if h.pool == waiter.pool]
    waiting = sum(w.pool == waiter.pool for w in snapshot.waiters)
    limit = next((p.max_connections for p in snapshot.pools if p.id == waiter.pool), None)
    request = f"{waiter.method or 'a request'} {waiter.origin}"
    allowed = "" if limit is None else f", {limit} {'connection' if limit == 1 else 'connections'} allowed"
    lines = [
        f"poolscope: {request} has waited {waiter.waited:.0f} s for a connection ({waiting} waiting{allowed})",
        f"  asked at {waiter.call_site}" if waiter.call_site else "",
    ]
    longest_first = sorted(same_pool, key=lambda holder: -holder.held)
    lines += [_line(holder) for holder in longest_first[:SHOWN]]
    if len(same_pool) > SHOWN:
        lines.append(f"  and {len(same_pool) - SHOWN} more")
    if not same_pool:
        lines.append("  no request that poolscope can see holds one")
    return page(line for line in lines if line)


_STATES: Final[dict[HolderState, str]] = {
    "connecting": "connecting",
    "sending": "sending its request",
    "awaiting_headers": "waiting for its answer",
    "reading": "its response is open and not read to the end",
    "not_given_back": "its response is closed, and the connection was never given back to the pool",
}


def _line(holder: Holder) -> str:
    where = f", {holder.call_site}" if holder.call_site else ""
    return (
        f"  connection #{holder.connection} is held for {holder.held:.1f} s by {holder.method or 'a request'} "
        f"{holder.origin}: {_STATES[holder.state]}{where}"
    )

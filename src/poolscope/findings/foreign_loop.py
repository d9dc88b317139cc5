"""PS109: an async client goes on in another event loop, while it holds connections that belong to the one before.

It fires for each line of which a request ran on a loop while its client had a connection open that was opened on
another one.
"""

from __future__ import annotations

from typing import ClassVar

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Place
from poolscope.records import Connection, Exchange, Finding


class _Used:
    __slots__ = ("count", "failed", "loops")

    def __init__(self) -> None:
        self.count = self.failed = 0
        self.loops: set[int] = set()


class ForeignLoop(Rule):
    """The rule. State: the loops of each client's open connections, and a few numbers per line."""

    code: ClassVar[str] = "PS109"
    title: ClassVar[str] = "client used from another event loop"
    by_cost: ClassVar[bool] = False
    explanation: ClassVar[str] = (
        "A connection belongs to the event loop that opened it. In another loop it fails (Event loop is closed, "
        "attached to a different loop), or waits for ever, as soon as it is used or closed."
    )

    def __init__(self) -> None:
        self._open: Bounded[tuple[int, int], dict[int, int]] = Bounded()
        self._used: Bounded[Place, _Used] = Bounded()

    def connection(self, record: Connection) -> None:
        """Note which loop it belongs to, while it is open."""
        if record.loop is None or record.client is None:
            return
        key = (record.pid, record.client)
        if record.closed_at is None:
            self._open.get_or_put(key, dict)[record.id] = record.loop
        elif key in self._open:
            # An exchange of another loop may be closing it: that record comes first.
            self._open[key].pop(record.id, None)
            if not self._open[key]:
                del self._open[key]

    def exchange(self, record: Exchange) -> None:
        """See whether its client has connections of other loops."""
        if record.loop is None or record.client is None:
            return
        loops = self._open.get((record.pid, record.client))
        if loops is None or all(loop == record.loop for loop in loops.values()):
            return
        used = self._used.get_or_put(self.known.place_of(record), _Used)
        used.count += 1
        used.failed += record.error is not None
        used.loops.update(loops.values(), (record.loop,))

    def findings(self) -> list[Finding]:
        """One per process, origin and line."""
        return [self._finding(place, used) for place, used in self._used.items()]

    def _finding(self, place: Place, used: _Used) -> Finding:
        kind = place.kind or "the client"
        requests = "request" if used.count == 1 else "requests"
        failed = f" {used.failed:,} failed." if used.failed else ""
        return self.finding(
            place,
            used.count,
            f"{used.count:,} {requests} to {place.origin} ran on one event loop while {kind} had open "
            f"connections from another.{failed}",
            "Build the client inside the loop that uses it (in the function that asyncio.run gets, in the server's "
            "startup), one for each loop, and close it there.",
        )

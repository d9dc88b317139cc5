"""PS110: a process uses an inherited connection, which its parent may use at the same time.

It fires for each line of a forked child that sent a request on a connection that was opened before the fork.
"""

from __future__ import annotations

from typing import ClassVar

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Place
from poolscope.records import Exchange, Finding


class UsedAfterFork(Rule):
    """The rule. State: a number per line."""

    code: ClassVar[str] = "PS110"
    title: ClassVar[str] = "connection used after fork"
    by_cost: ClassVar[bool] = False
    adds_up: ClassVar[bool] = True
    explanation: ClassVar[str] = (
        "A forked child shares the sockets that were open in its parent. When both write to one, answers get mixed "
        "up, and with TLS the connection breaks (bad record mac)."
    )

    def __init__(self) -> None:
        self._used: Bounded[Place, int] = Bounded()

    def exchange(self, record: Exchange) -> None:
        """Count an exchange that ran on an inherited connection."""
        connection = self.known.connection(record.pid, record.connection)
        if connection is not None and connection.inherited:
            place = self.known.place_of(record)
            self._used.put(place, self._used.get(place, 0) + 1)

    def findings(self) -> list[Finding]:
        """One per process, origin and line."""
        return [
            self.finding(
                place,
                count,
                f"{count:,} {'request' if count == 1 else 'requests'} to {place.origin} ran on a connection that was "
                "opened before this process was forked and is shared with its parent.",
                "Build the client after the fork: in the worker's initializer, or on first use in each process.",
            )
            for place, count in self._used.items()
        ]

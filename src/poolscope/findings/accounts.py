"""What the connections of each client have cost, for the rules that blame the client for all of it."""

from __future__ import annotations

from typing import Final

from poolscope.findings.known import LIVE, Bounded
from poolscope.records import Client, CloseReason, Connection

BY_ITS_END: Final[frozenset[CloseReason | None]] = frozenset(
    (None, "client_close", "gc", "program_close", "pool_closed")
)
"""Closes that a client in use would not have made; PS104 and PS107 count those that the limits of its pool caused."""
MOST_OPEN: Final = 128
"""Connections of one client that are followed at a time."""


class Account:
    """Seconds of setup and closing, of connections that nothing but the end of their client closes."""

    __slots__ = ("open", "seconds")

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.seconds = 0.0

    def __repr__(self) -> str:
        return f"<Account {self.seconds:.6f} s, {len(self.open)} open>"

    def add(self, record: Connection) -> None:
        """Count an opened connection; take it out again if another finding counts its close."""
        if record.closed_at is None:
            if len(self.open) < MOST_OPEN and record.id not in self.open:
                self.open.add(record.id)
                self.seconds += _setup(record)
        elif record.id in self.open:
            self.open.discard(record.id)
            self.seconds += (
                (record.close_time or 0.0) if record.close_reason in BY_ITS_END else -_setup(record)
            )


class Accounts:
    """The account of each client, and of each line once its clients are over."""

    def __init__(self) -> None:
        self._accounts: Bounded[tuple[int, int], Account] = Bounded(LIVE)

    def __repr__(self) -> str:
        return f"<Accounts of {len(self._accounts)} clients>"

    def connection(self, record: Connection) -> None:
        """Charge a connection to its client."""
        if record.client is not None and record.opened_at is not None:
            self._accounts.get_or_put((record.pid, record.client), Account).add(record)

    def move(self, client: Client, line: Account) -> None:
        """A client is over: charge it to its line, and so what its connections do after it."""
        key = (client.pid, client.id)
        account = self._accounts.pop(key, None)
        if account is None:
            return
        line.seconds += account.seconds
        if account.open:
            line.open |= account.open
            self._accounts.put(key, line)


def _setup(record: Connection) -> float:
    """Seconds of its setup, without addresses that failed, which PS116 counts."""
    total = record.setup.get("total")
    return 0.0 if total is None else max(total.duration - (record.lost_time or 0.0), 0.0)

"""PS102: many clients of one line, with equal settings, that were still open when the program ended.

It fires for a line that had at least `MIN_OPEN` of them at once, and at least `PER_THREAD` for each thread that used any: a
client for each thread, or for the event loop in each thread, is meant to live as long as that.
"""

from __future__ import annotations

from typing import ClassVar, Final

from poolscope.findings.accounts import Account, Accounts
from poolscope.findings.base import Rule
from poolscope.findings.known import LIVE, Bounded, Key, Place, is_bound_to_its_loop
from poolscope.records import Client, Connection, Exchange, Finding

MIN_OPEN: Final = 10
PER_THREAD: Final = 2


class _Open:
    __slots__ = ("account", "construction", "count", "threads")

    def __init__(self) -> None:
        self.count = 0
        self.construction = 0.0
        self.account = Account()
        self.threads: set[int | None] = set()


class NeverClosed(Rule):
    """The rule. State: a few numbers per line and settings, and per live client."""

    code: ClassVar[str] = "PS102"
    title: ClassVar[str] = "clients never closed"
    by_cost: ClassVar[bool] = False
    adds_up: ClassVar[bool] = True
    explanation: ClassVar[str] = (
        "Each open client keeps its connections, file descriptors and CA certificates (some megabytes). One client for "
        "the whole program is right; one client per object, kept for ever, uses more and more until something runs out."
    )

    def __init__(self) -> None:
        self._accounts = Accounts()
        self._open: Bounded[tuple[Place, int | None], _Open] = Bounded()
        self._threads: Bounded[Key, int | None] = Bounded(LIVE)
        """Client → the thread of its first request."""

    def connection(self, record: Connection) -> None:
        """Charge it to its client."""
        self._accounts.connection(record)

    def exchange(self, record: Exchange) -> None:
        """Note the thread that uses a client."""
        if record.client is not None and (record.pid, record.client) not in self._threads:
            self._threads.put((record.pid, record.client), record.thread)

    def client(self, record: Client) -> None:
        """Count a used client that was open at the end."""
        thread = None if record.close_kind is None else self._threads.pop((record.pid, record.id), None)
        if record.close_kind != "open_at_exit" or not record.requests or record.settings is None:
            return
        place = Place.of_client(record)
        seen = self._open.get_or_put((place, record.settings), _Open)
        seen.count += 1
        seen.threads.add(thread)
        seen.construction += record.construction_time or 0.0
        self._accounts.move(record, seen.account)

    def findings(self) -> list[Finding]:
        """One per process and line."""
        return [
            self._finding(place, seen)
            for (place, _), seen in self._open.items()
            if seen.count >= max(MIN_OPEN, PER_THREAD * len(seen.threads))
        ]

    def _finding(self, place: Place, seen: _Open) -> Finding:
        each = " per event loop" if is_bound_to_its_loop(place.kind or "") else ""
        found = self.finding(
            place,
            seen.count,
            f"{seen.count:,} clients ({place.kind}) with equal settings, built at one line, were all still open at the end.",
            f"Build one {place.kind}{each} and share it, or close each one when its work is done.",
            seen.construction + seen.account.seconds,
        )
        found.parts = {"construction": seen.construction, "setup": seen.account.seconds}
        return found

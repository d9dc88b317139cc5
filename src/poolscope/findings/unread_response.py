"""PS103: answers that are dropped or closed before they were read to their end.

It fires for a line and an origin where at least `MIN_UNREAD` connections were lost that way, or where one thread or
task sent as many requests there, and all their responses were open at the end: it cannot have been reading them all.
Of a client that a package built for itself it is information: a stream that is closed unread may be meant so.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from typing import ClassVar, Final

from poolscope.findings.base import Rule, counted
from poolscope.findings.known import Bounded, Place, of_package, setup_time
from poolscope.records import CloseReason, Connection, Exchange, Finding

MIN_UNREAD: Final = 3

_UNREAD: Final[frozenset[CloseReason]] = frozenset(("response_not_read", "gc_active"))


class _Unread:
    __slots__ = ("closed", "cost", "dropped", "open", "sdk")

    def __init__(self) -> None:
        self.closed = self.dropped = self.open = 0
        self.cost = 0.0
        self.sdk = False
        """The client belongs to a package."""

    @property
    def count(self) -> int:
        """Answers that were not read."""
        return self.closed + self.dropped + self.open


class UnreadResponse(Rule):
    """The rule. State: unread answers on a connection that is not closed yet, and a few numbers per line."""

    code: ClassVar[str] = "PS103"
    title: ClassVar[str] = "response not read"
    by_cost: ClassVar[bool] = False
    explanation: ClassVar[str] = (
        "A connection can carry the next request only when the previous answer was read to its end. Closing an answer "
        "earlier closes its connection; dropping it without a close blocks the connection until garbage collection."
    )

    def __init__(self) -> None:
        self._open: Bounded[tuple[int, int], Exchange] = Bounded()
        self._unread: Bounded[Place, _Unread] = Bounded()
        self._reading: Bounded[tuple[int, int], Exchange] = Bounded()

    def progress(self, record: Exchange) -> None:
        """Remember a request with its response open at the end; before, it may still be read."""
        if record.state == "reading" and record.open_at_exit:
            self._reading.put((record.pid, record.id), record)

    def exchange(self, record: Exchange) -> None:
        """Remember an unread answer, for its line."""
        if self._reading:
            self._reading.pop((record.pid, record.id), None)
        if record.body_complete is False and record.connection is not None:
            self._open.put((record.pid, record.connection), record)

    def connection(self, record: Connection) -> None:
        """See why the connection was closed."""
        if record.closed_at is None:
            return
        unread = self._open.pop((record.pid, record.id), None)
        if record.close_reason not in _UNREAD:
            return
        seen = self._unread.get_or_put(self.known.place_of(unread or record), _Unread)
        if record.close_reason == "gc_active":
            seen.dropped += 1
        else:
            seen.closed += 1
        seen.cost += setup_time(record) + (record.close_time or 0.0)
        client = self.known.client(record.pid, record.client)
        seen.sdk = client is not None and of_package(client.sdk_call_site)

    def findings(self) -> list[Finding]:
        """One per process, origin and line."""
        unread = {place: copy(seen) for place, seen in self._unread.items()}
        for place, records in self._kept_open():
            seen = unread.setdefault(place, _Unread())
            seen.open += len(records)
            seen.cost += sum(setup_time(self.known.connection(each.pid, each.connection)) for each in records)
        return [self._finding(place, seen) for place, seen in unread.items() if seen.count >= MIN_UNREAD]

    def _kept_open(self) -> Iterator[tuple[Place, list[Exchange]]]:
        """The responses of one thread or task that are open at once, for each line."""
        by_reader: dict[tuple[Place, int | None, str | None], list[Exchange]] = {}
        for record in self._reading.values():
            key = self.known.place_of(record), record.thread, record.task
            by_reader.setdefault(key, []).append(record)
        return (
            (place, records) for (place, _, _), records in by_reader.items() if len(records) >= MIN_UNREAD
        )

    def _finding(self, place: Place, seen: _Unread) -> Finding:
        count = seen.count
        ways = counted(
            (seen.closed, "closed unread"),
            (seen.dropped, "dropped without a close"),
            (seen.open, "open to the end"),
        )
        found = self.finding(
            place,
            count,
            f"{count:,} answers from {place.origin} were not read to their end, and each cost its connection: "
            f"{', '.join(ways)}.",
            "Read the answer to its end inside a with block (response.content, or response.read() of a stream); if "
            "only its headers matter, send HEAD.",
            seen.cost,
        )
        return replace(found, severity="info") if seen.sdk else found

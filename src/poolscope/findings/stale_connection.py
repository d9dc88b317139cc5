"""PS108: a request was sent on a kept connection that the server had closed.

It fires for each line and origin where a request on a reused connection, idle for at least `MIN_IDLE`, failed without
an answer within `AT_ONCE`, because the other side had closed.
"""

from __future__ import annotations

import math
from typing import ClassVar, Final

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Key, Place
from poolscope.records import CloseReason, Connection, Exchange, Finding

MIN_IDLE: Final = 0.5
"""Seconds; a server that closes right after an answer has other reasons."""
AT_ONCE: Final = 1.0
"""Seconds within which a request fails on a connection that is gone already."""
IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))

_ENDED: Final[frozenset[CloseReason]] = frozenset(("server_closed_no_response", "reset"))


class _Stale:
    __slots__ = ("count", "idle", "methods", "numbers", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.count = 0
        self.idle = float("inf")
        self.numbers: int | None = None
        self.methods: dict[str, None] = {}


class StaleConnection(Rule):
    """The rule. State: failed requests with a connection that is not closed yet, and a few numbers per line."""

    code: ClassVar[str] = "PS108"
    title: ClassVar[str] = "request failed on a stale connection"
    by_cost: ClassVar[bool] = False
    adds_up: ClassVar[bool] = True
    explanation: ClassVar[str] = (
        "A server closes idle connections after a while. A request that is sent at that very moment, or before the "
        "client has noticed, gets no answer, and the client cannot know whether the server has seen it."
    )

    def __init__(self) -> None:
        self._failed: Bounded[tuple[int, int], Exchange] = Bounded()
        self._stale: Bounded[Place, _Stale] = Bounded()
        self._counted: Bounded[Key, _Stale] = Bounded()
        """Failed requests, until their library sends them again."""

    def exchange(self, record: Exchange) -> None:
        """Remember an exchange that failed on a connection that had been idle."""
        self._sent_again(record)
        if (
            record.error is not None
            and record.status is None
            and record.reused is True
            and record.connection is not None
            and record.idle_time is not None
            and record.idle_time >= MIN_IDLE
            and record.started_at is not None
            and record.finished_at is not None
            and record.finished_at - record.started_at <= AT_ONCE
        ):
            self._failed.put((record.pid, record.connection), record)

    def _sent_again(self, record: Exchange) -> None:
        """A request that its library itself sends again has not failed for the program."""
        before = (record.pid, record.previous or 0)
        stale = self._counted.pop(before, None) if record.relation == "retry" else None
        if stale is not None:
            stale.count -= 1
            stale.numbers = None

    def connection(self, record: Connection) -> None:
        """See why the connection of a failed request was closed."""
        if record.closed_at is None:
            return
        failed = self._failed.pop((record.pid, record.id), None)
        if failed is None or record.close_reason not in _ENDED:
            return
        place = self.known.place_of(failed)
        if (place.kind or "").startswith("aiohttp.") and failed.method in IDEMPOTENT:
            return  # it will be sent again: a live process need not wait to see that
        stale = self._stale.get_or_put(place, lambda: _Stale(place))
        self._counted.put((failed.pid, failed.id), stale)
        stale.count += 1
        stale.idle = min(stale.idle, failed.idle_time or 0.0)
        stale.numbers = failed.request_number
        stale.methods[failed.method or "?"] = None

    def findings(self) -> list[Finding]:
        """One per process, origin and line."""
        return [self._finding(stale) for stale in self._stale.values() if stale.count]

    def _finding(self, stale: _Stale) -> Finding:
        unsafe = [method for method in stale.methods if method not in IDEMPOTENT]
        retry = (
            f"{', '.join(unsafe)} must not simply be sent again: the server may have done it."
            if unsafe
            else "These requests are safe to send again: allow a retry on connection errors."
        )
        what = "request" if stale.count == 1 else "requests"
        idle = math.floor(round(stale.idle * 10, 3)) / 10  # not more, because that would be too long
        return self.finding(
            stale.place,
            stale.count,
            f"{stale.count:,} {what} to {stale.place.origin} failed on a kept connection that had been idle for "
            f"{idle:.1f} s or more and that the server had closed.",
            f"Keep connections for less than {idle:.1f} s (httpx: Limits(keepalive_expiry=…), "
            "aiohttp: TCPConnector(keepalive_timeout=…)), or let the "
            f"server keep them longer. {retry}",
            notes=[f"The last one was request {stale.numbers} on its connection."] if stale.numbers else None,
        )

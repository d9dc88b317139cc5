"""PS107: connections that the client lets expire just before they are needed again.

It fires for a client's line and an origin where at least `MIN_EXPIRED` connections were closed because they had been
idle for longer than the client keeps them, and outnumber the other closes. They count once another connection is opened
in their place, within `TIMES` that limit, and before the server would have closed them by its own word.
"""

from __future__ import annotations

import math
from typing import ClassVar, Final

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Place, setup_time
from poolscope.records import Connection, Finding, Severity

MIN_EXPIRED: Final = 3
TIMES: Final = 6.0
MOST_WAITING: Final = 128


class _Expired:
    __slots__ = ("cost", "count", "expiry", "longest", "others", "server", "waiting")

    def __init__(self) -> None:
        self.count = self.others = 0
        self.cost = self.longest = 0.0
        self.expiry = 0.0
        self.server: float | None = None
        self.waiting: list[Connection] = []
        """Expired connections that have not been needed again, the newest last."""

    def is_missed(self, opened: Connection) -> bool:
        """Whether ``opened`` came soon enough for the newest of them to have served it."""
        if not self.waiting or opened.setup_started_at is None:
            return False
        pause = opened.setup_started_at - (self.waiting[-1].idle_since or 0.0)
        if pause < 0:
            return False  # it was asked for before
        expired = self.waiting.pop()
        if pause > TIMES * self.expiry or pause >= (expired.server_keepalive or math.inf):
            self.others += 1
            return False
        self.longest = max(self.longest, pause)
        self.server = expired.server_keepalive
        self.cost += setup_time(opened) + (expired.close_time or 0.0)
        return True


class KeepAliveClash(Rule):
    """The rule. State: a few numbers per line."""

    code: ClassVar[str] = "PS107"
    title: ClassVar[str] = "connections expire before reuse"
    severity: ClassVar[Severity] = "info"
    adds_up: ClassVar[bool] = True
    explanation: ClassVar[str] = (
        "By default httpx keeps idle connections for 5 seconds. A program that sends a request every 6 seconds pays for a "
        "new connection each time."
    )

    def __init__(self) -> None:
        self._expired: Bounded[Place, _Expired] = Bounded()

    def connection(self, record: Connection) -> None:
        """Count it, once it is closed; see whether it takes the place of an expired connection, once it is opened."""
        if record.opened_at is None:
            return
        seen = self._expired.get_or_put(self.known.place_of(record), _Expired)
        if record.closed_at is not None:
            self._closed(seen, record)
        elif self.known.is_first:
            seen.count += seen.is_missed(record)

    def _closed(self, seen: _Expired, record: Connection) -> None:
        pool = self.known.pool(record.pid, record.pool)
        expiry = None if pool is None else pool.keepalive_expiry
        if record.close_reason != "keepalive_expired" or not expiry or record.idle_since is None:
            seen.others += 1
            return
        seen.expiry = expiry
        seen.waiting.append(record)
        if len(seen.waiting) > MOST_WAITING:
            del seen.waiting[0]
            seen.others += 1

    def findings(self) -> list[Finding]:
        """One per process, origin and line."""
        return [
            self._finding(place, seen)
            for place, seen in self._expired.items()
            if seen.count >= MIN_EXPIRED
            and seen.count > seen.others + len(seen.waiting)
            and _rounded_up(seen.longest) < (seen.server or math.inf)
        ]

    def _finding(self, place: Place, seen: _Expired) -> Finding:
        library = (place.kind or "httpx").partition(".")[0]
        option = f"limits={library}.Limits(keepalive_expiry=…)"
        if library == "aiohttp":
            option = "connector=aiohttp.TCPConnector(keepalive_timeout=…)"
        server = (
            f" The server keeps them for {seen.server:g} s: stay below that."
            if seen.server is not None
            else " Stay below the time that the server keeps them."
        )
        return self.finding(
            place,
            seen.count,
            f"{seen.count:,} connections to {place.origin} had expired after {seen.expiry:g} idle seconds when the "
            f"next request came, at most {_rounded_up(seen.longest):.1f} s after the previous one.",
            f"Pass {option} with more than {_rounded_up(seen.longest):g} s to the client.{server}",
            seen.cost,
        )


def _rounded_up(seconds: float) -> float:
    """To a tenth of a second: with less, the connection would still expire."""
    return math.ceil(round(seconds * 10, 3)) / 10

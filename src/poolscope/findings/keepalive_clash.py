"""PS107: connections that the client lets expire just before they are needed again.

It fires for a client's line and an origin where at least `MIN_EXPIRED` connections were closed because they had been
idle for longer than the client keeps them, needed again within `TIMES` that limit, and outnumber the other closes.
"""

from __future__ import annotations

from typing import ClassVar, Final

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Place, idle_at_close, setup_time
from poolscope.records import Connection, Finding, Severity

MIN_EXPIRED: Final = 3
TIMES: Final = 6.0


class _Expired:
    __slots__ = ("cost", "count", "expiry", "longest", "others", "server")

    def __init__(self) -> None:
        self.count = self.others = 0
        self.cost = self.longest = 0.0
        self.expiry: float | None = None
        self.server: float | None = None


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
        """Count it, once it is closed."""
        if record.closed_at is None or record.opened_at is None:
            return
        pool = self.known.pool(record.pid, record.pool)
        expiry = None if pool is None else pool.keepalive_expiry
        seen = self._expired.get_or_put(self.known.place_of(record), _Expired)
        idle = idle_at_close(record)
        if record.close_reason != "keepalive_expired" or not expiry or idle is None or idle > TIMES * expiry:
            seen.others += 1
            return
        seen.count += 1
        seen.expiry = expiry
        seen.longest = max(seen.longest, idle)
        seen.cost += setup_time(record) + (record.close_time or 0.0)
        seen.server = record.server_keepalive

    def findings(self) -> list[Finding]:
        """One per process, origin and line."""
        return [
            self._finding(place, seen)
            for place, seen in self._expired.items()
            if seen.count >= MIN_EXPIRED and seen.count > seen.others
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
            f"next request came, at most {seen.longest:.1f} s after the previous one.",
            f"Pass {option} with more than {seen.longest:.0f} s to the client.{server}",
            seen.cost,
        )

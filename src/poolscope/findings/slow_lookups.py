"""PS124: looking the name up takes most of a connection's setup, again and again.

It fires for an origin where at least `MIN_LOOKUPS` lookups, one after the other, took `MIN_MEAN` seconds each on average
and `MIN_SECONDS` together, at least `SHARE` of the setup, and `TIMES_CONNECT` times what connecting took. Without the
slowest, the others must have taken `MIN_MEAN` as well: one slow lookup happens to any program that pauses. Only lookups
of clients without an event loop count: on a loop, a lookup may have waited for a thread. A lookup does not count either
if the program's threads were so busy that the connect after it came late by `BUSY` seconds: the lookup probably did too.
Lookups at the same time count once: they may be one, while nothing has been cached yet.
"""

from __future__ import annotations

from typing import ClassVar, Final

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Place
from poolscope.records import Connection, Finding, Severity

MIN_LOOKUPS: Final = 5
MIN_MEAN: Final = 0.02
MIN_SECONDS: Final = 0.25
SHARE: Final = 0.5
TIMES_CONNECT: Final = 3.0
BUSY: Final = 0.01


class _Lookups:
    __slots__ = ("connect", "count", "place", "seconds", "setup", "slowest", "until")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.count = 0
        self.seconds = self.setup = self.connect = self.slowest = 0.0
        self.until = float("-inf")
        """When the newest that counts was over."""


class SlowLookups(Rule):
    """The rule. State: a few numbers per origin."""

    code: ClassVar[str] = "PS124"
    title: ClassVar[str] = "name lookups dominate setup"
    severity: ClassVar[Severity] = "info"
    explanation: ClassVar[str] = (
        "Python keeps no answers of the name server: every new connection looks its name up again. Without a cache on the "
        "machine, that can take longer than connecting."
    )

    def __init__(self) -> None:
        self._origins: Bounded[tuple[int, str], _Lookups] = Bounded()

    def connection(self, record: Connection) -> None:
        """Count a connection that was opened."""
        dns, total = record.setup.get("dns"), record.setup.get("total")
        if dns is None or total is None or record.opened_at is None or record.loop is not None:
            return
        if record.via != "direct" or not self.known.is_first:
            return
        connect = record.setup.get("connect")
        if connect is not None and (connect.busy or 0.0) >= BUSY:
            return
        seen = self._origins.get_or_put(
            (record.pid, record.origin), lambda: _Lookups(self.known.place_of(record))
        )
        if dns.start < seen.until:
            return
        seen.until = dns.start + dns.duration
        seen.count += 1
        seen.seconds += dns.duration
        seen.slowest = max(seen.slowest, dns.duration)
        seen.setup += total.duration
        seen.connect += 0.0 if connect is None else connect.duration

    def findings(self) -> list[Finding]:
        """One per process and origin."""
        return [self._finding(seen) for seen in self._origins.values() if _fires(seen)]

    def _finding(self, seen: _Lookups) -> Finding:
        mean = seen.seconds / seen.count
        return self.finding(
            seen.place,
            seen.count,
            f"{seen.count:,} lookups of the name in {seen.place.origin}, one after the other, took {mean * 1000:.0f} ms each: "
            f"{seen.seconds:.2g} s of the {seen.setup:.2g} s that setting up these connections took.",
            "Reuse connections, which look nothing up; or let something on the machine keep the answers (systemd-resolved, "
            "nscd, in Kubernetes NodeLocal DNSCache and a lower ndots).",
        )


def _fires(seen: _Lookups) -> bool:
    return (
        seen.count >= MIN_LOOKUPS
        and seen.seconds >= max(MIN_SECONDS, SHARE * seen.setup)
        and seen.seconds - seen.slowest >= MIN_MEAN * (seen.count - 1)
        and seen.seconds >= TIMES_CONNECT * seen.connect
    )

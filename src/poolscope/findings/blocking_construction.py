"""PS126: a client that is built inside a running event loop blocks everything else on that loop.

It fires for a line where building one took at least `MIN_BLOCKED` seconds.
"""

from __future__ import annotations

from typing import ClassVar, Final

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Place
from poolscope.records import Client, Finding, Severity

MIN_BLOCKED: Final = 0.05


_BEFORE: Final = "Build it before the loop runs"


class _Blocked:
    __slots__ = ("certificates", "cost", "count", "longest")

    def __init__(self) -> None:
        self.count = 0
        self.cost = self.longest = 0.0
        self.certificates: float | None = 0.0
        """Seconds of loading CA certificates; None where that was not observed."""


class BlockingConstruction(Rule):
    """The rule. State: a few numbers per line."""

    code: ClassVar[str] = "PS126"
    title: ClassVar[str] = "client built inside a running loop"
    severity: ClassVar[Severity] = "info"
    explanation: ClassVar[str] = (
        "Building a client reads and parses the CA certificates, and the first one also imports what its library needs. "
        "That is CPU time. On an event loop nothing else runs meanwhile: no other request, no timeout, no health check."
    )

    def __init__(self) -> None:
        self._places: Bounded[Place, _Blocked] = Bounded()

    def client(self, record: Client) -> None:
        """Note a client that took long to build."""
        if record.close_kind is not None or record.loop is None or record.construction_time is None:
            return
        if record.construction_time < MIN_BLOCKED:
            return
        place = Place.of_client(record)
        blocked = self._places.get_or_put(place, _Blocked)
        blocked.count += 1
        blocked.cost += record.construction_time
        if record.ca_time is None:
            blocked.certificates = None
        elif blocked.certificates is not None:
            blocked.certificates += record.ca_time
        blocked.longest = max(blocked.longest, record.construction_time)

    def findings(self) -> list[Finding]:
        """One per process and line."""
        return [self._finding(place, blocked) for place, blocked in self._places.items()]

    def _finding(self, place: Place, blocked: _Blocked) -> Finding:
        times = "once" if blocked.count == 1 else f"{blocked.count:,} times"
        return self.finding(
            place,
            blocked.count,
            f"{place.kind} was built inside a running event loop {times} and blocked it for up to "
            f"{blocked.longest * 1000:.0f} ms.",
            _fix(blocked),
            blocked.cost,
            "construction",
        )


def _fix(blocked: _Blocked) -> str:
    loads = blocked.certificates
    if loads is None or 2 * loads >= blocked.cost:
        return f"{_BEFORE}, or build its ssl.SSLContext there once and pass it as verify=."
    return (
        f"{_BEFORE}. A shared ssl.SSLContext would not help much: loading CA certificates took {loads * 1000:.0f} ms of that, "
        "and the first client of a program also imports what its library needs."
    )

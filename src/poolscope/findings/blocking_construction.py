"""PS126: clients that are built inside a running event loop, where that holds something up.

It fires for a line

- where building one took at least `MIN_BLOCKED` seconds while a request of the same loop was in progress, or
- where at least `MIN_LOOPS` event loops, one after the other, built an async client each, for at most `MOST_CALLS` requests,
  and building them took at least `MIN_BLOCKED` seconds without the slowest.

A program that builds a client at the start of its only loop holds nothing up.
"""

from __future__ import annotations

from typing import ClassVar, Final, NamedTuple

from poolscope.findings.accounts import Account, Accounts
from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Place, is_bound_to_its_loop
from poolscope.findings.lives import MOST_CALLS
from poolscope.records import Client, Connection, Exchange, Finding, Severity

MIN_BLOCKED: Final = 0.05
MIN_LOOPS: Final = 3
MOST_UNDECIDED: Final = 16
PATIENCE: Final = 1_000
"""Requests after which it is clear that none was in progress."""


_BEFORE: Final = "Build it before the loop runs"


class _Blocked:
    """What happened at one line."""

    __slots__ = ("account", "certificates", "closed", "construction", "count", "highest", "longest", "loops", "open", "requests",
                 "slowest", "stalled", "stalls")  # fmt: skip

    def __init__(self) -> None:
        self.stalls = 0
        """Builds that held a request up."""
        self.stalled = self.longest = 0.0
        self.certificates: float | None = 0.0
        """Seconds of loading CA certificates; None where that was not observed."""
        self.open = self.highest = self.loops = self.closed = self.requests = 0
        self.construction = self.slowest = 0.0
        self.account = Account()

    def stall(self, built: _Built) -> None:
        """A request was in progress."""
        self.stalls += 1
        self.stalled += built.took
        self.longest = max(self.longest, built.took)
        if built.certificates is None:
            self.certificates = None
        elif self.certificates is not None:
            self.certificates += built.certificates

    @property
    def is_one_per_loop(self) -> bool:
        """Whether each of several loops, one after the other, had a client of its own for a few requests."""
        return (
            self.loops >= MIN_LOOPS
            and self.construction - self.slowest >= MIN_BLOCKED
            and self.requests <= MOST_CALLS * self.closed
        )


class _Built(NamedTuple):
    """A client that took long to build."""

    place: Place
    loop: int
    start: float
    took: float
    certificates: float | None

    def is_during(self, record: Exchange) -> bool:
        """Whether it was built while a request of the same loop was in progress."""
        return (
            (record.pid, record.loop) == (self.place.pid, self.loop)
            and record.started_at is not None
            and record.started_at < self.start
            # An open response waits for nothing.
            and (record.headers_at is None or record.headers_at > self.start)
            and (record.finished_at is None or record.finished_at > self.start + self.took)
        )


class BlockingConstruction(Rule):
    """The rule. State: a few numbers per line, and the last slow builds."""

    code: ClassVar[str] = "PS126"
    title: ClassVar[str] = "client built inside a running loop"
    severity: ClassVar[Severity] = "info"
    explanation: ClassVar[str] = (
        "Building a client reads and parses the CA certificates, and the first one also imports what its library needs. "
        "That is CPU time. On an event loop nothing else runs meanwhile: no other request, no timeout, no health check. "
        "A loop for each call builds a client, and connects, for each call."
    )

    def __init__(self) -> None:
        self._places: Bounded[Place, _Blocked] = Bounded()
        self._undecided: list[_Built] = []
        self._since = 0
        """Requests seen since the last slow build."""
        self._accounts = Accounts()

    def connection(self, record: Connection) -> None:
        """Charge it to its client."""
        if record.loop is not None:
            self._accounts.connection(record)

    def client(self, record: Client) -> None:
        """Note a client that was built inside a loop, and its end."""
        if record.loop is None or record.created_at is None or record.construction_time is None:
            return
        place = Place.of_client(record)
        blocked = self._places.get_or_put(place, _Blocked)
        if record.close_kind is not None:
            blocked.open -= 1
            blocked.closed += 1
            blocked.requests += record.requests
            self._accounts.move(record, blocked.account)
            return
        if record.loop > blocked.highest and blocked.open <= 0 and is_bound_to_its_loop(record.kind):
            blocked.loops += 1
            blocked.highest = record.loop
        blocked.open += 1
        blocked.construction += record.construction_time
        blocked.slowest = max(blocked.slowest, record.construction_time)
        if record.construction_time >= MIN_BLOCKED:
            built = _Built(place, record.loop, record.created_at, record.construction_time, record.ca_time)
            self._undecided = [*self._undecided[-MOST_UNDECIDED + 1 :], built]
            self._since = 0

    def exchange(self, record: Exchange) -> None:
        """See whether a client was built while it was in progress."""
        if not self._undecided:
            return
        self._since += 1
        for built in [built for built in self._undecided if built.is_during(record)]:
            self._undecided.remove(built)
            self._places.get_or_put(built.place, _Blocked).stall(built)
        if self._since > PATIENCE:
            self._undecided.clear()

    progress = exchange

    def needs(self, pid: int, client: int | None, origin: str) -> bool:  # noqa: ARG002  (of the loop it knows nothing)
        """True while it is open whether a slow build held a request up."""
        return bool(self._undecided) and any(built.place.pid == pid for built in self._undecided)

    def findings(self) -> list[Finding]:
        """One per process and line."""
        return [
            self._one_per_loop(place, blocked) if blocked.is_one_per_loop else self._stall(place, blocked)
            for place, blocked in self._places.items()
            if blocked.is_one_per_loop or blocked.stalls
        ]

    def _stall(self, place: Place, blocked: _Blocked) -> Finding:
        times = "once" if blocked.stalls == 1 else f"{blocked.stalls:,} times"
        return self.finding(
            place,
            blocked.stalls,
            f"{place.kind} was built inside a running event loop {times}, while other requests were in progress there, and blocked them "
            f"for up to {blocked.longest * 1000:.0f} ms.",
            _fix(blocked),
            blocked.stalled,
            "construction",
        )

    def _one_per_loop(self, place: Place, blocked: _Blocked) -> Finding:
        found = self.finding(
            place,
            blocked.loops,
            f"{blocked.loops:,} event loops ran one after another, and each had to build its own {place.kind}.",
            f"Start the loop once, by one asyncio.run() around all the calls, and share one {place.kind} in it.",
            blocked.construction + blocked.account.seconds,
        )
        found.parts = {"construction": blocked.construction, "setup": blocked.account.seconds}
        return found


def _fix(blocked: _Blocked) -> str:
    loads = blocked.certificates
    if loads is None or 2 * loads >= blocked.stalled:
        return f"{_BEFORE}, or build its ssl.SSLContext there once and pass it as verify=."
    return (
        f"{_BEFORE}. A shared ssl.SSLContext would not help much: loading CA certificates took {loads * 1000:.0f} ms of that, "
        "and the first client of a program also imports what its library needs."
    )

"""The sums behind one row of the report: what the clients of one call site did on one origin."""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from poolscope.records import CallSite, Connection, Exchange, PhaseName, Pool
from poolscope.reports.credentials import Credentials
from poolscope.reports.lanes import LaneSample

MAX_NAMES: Final = 50
"""How many error classes and reasons a row distinguishes."""
WAITED: Final = 0.001
"""A request counts as having waited for a connection from this many seconds on."""
BAD: Final = 400
"""Statuses from here on are counted."""
_CANCELLATIONS: Final = frozenset(
    ("CancelledError", "Cancelled", "GeneratorExit", "GreenletExit", "KeyboardInterrupt", "SystemExit")
)
"""Classes that end a request because nobody waits for it any more: no failure."""
BLAMED_ON_OTHERS: Final[tuple[PhaseName, ...]] = ("dns", "connect", "proxy_tunnel", "tls")
"""The phases that seem to be the network's or a server's time."""
BUSY: Final = 0.01
BUSY_SHARE: Final = 0.1
"""The program itself counts as busy from so many seconds of a phase on, and from this share of it."""
UNREAD: Final = "response not read"
LONG_WAITED: Final = "waited long"
LONG_WAIT: Final = 0.05
"""The line that sent a request is named if the request waited for at least this many seconds."""


class Site(NamedTuple):
    """The kind of clients and the line that builds them."""

    kind: str
    call_site: CallSite | None
    sdk_call_site: CallSite | None


class Trouble(NamedTuple):
    """What went wrong with a request, and the line that sent it."""

    what: str
    """The class of the error, `UNREAD` or `LONG_WAITED`."""
    call_site: CallSite

    @classmethod
    def of(cls, exchange: Exchange) -> Trouble | None:
        """The trouble of a finished request; None if nothing is known to be wrong, or its line is unknown."""
        if exchange.call_site is None or exchange.state is not None:
            return None
        if exchange.error is not None:
            return cls(exchange.error.rpartition(".")[2], exchange.call_site)
        if exchange.body_complete is False:
            return cls(UNREAD, exchange.call_site)
        return cls(LONG_WAITED, exchange.call_site) if (exchange.pool_wait or 0.0) >= LONG_WAIT else None


class Limits(NamedTuple):
    """The limits of a pool."""

    max_connections: int | None
    max_idle: int | None
    keepalive_expiry: float | None
    blocking: bool | None

    @classmethod
    def of(cls, pool: Pool) -> Limits:
        """The limits of one pool."""
        return cls(pool.max_connections, pool.max_idle, pool.keepalive_expiry, pool.blocking)

    def shared(self, other: Limits | None) -> Limits:
        """The common limits; None where they differ."""
        if other is None or other == self:
            return self
        differing = {name: None for name in self._fields if getattr(self, name) != getattr(other, name)}
        return self._replace(**differing)


def _add(sums: dict[str, float], phase: str, seconds: float) -> None:
    if phase not in sums and len(sums) >= MAX_NAMES:
        phase = "other"
    sums[phase] = sums.get(phase, 0.0) + seconds


class Tally:
    """Plain sums over connections; `Row` adds open ones on demand."""

    def __init__(self) -> None:
        self.opened = 0
        """Connections that became usable."""
        self.failed = 0
        """Failed setups."""
        self.failed_phases: Counter[str] = Counter()
        self.unseen = 0
        """Connections that were open before, so their setup is unknown."""
        self.inherited = 0
        """Opened by the process this one was forked from, which counts all that is known of them."""
        self.setup: dict[str, float] = {}
        """Phase → seconds."""
        self.busy: dict[str, float] = {}
        """Phase → seconds of it, at least, that the program itself was busy; without phases of which that is unknown."""
        self.setup_total = 0.0
        self.closing = 0.0
        """Seconds that closing took."""
        self.closes: Counter[str] = Counter()
        self.closed_by: Counter[str] = Counter()
        self.ways: Counter[str] = Counter()
        """How many did not go straight to their server, by the way they went."""

    def __repr__(self) -> str:
        return f"<Tally {self.opened} opened, {self.failed} failed, setup={self.setup_total:.6f}>"

    @property
    def connections(self) -> int:
        """Usable sockets, each counted by the process that opened it."""
        return self.opened + self.unseen

    def add(self, connection: Connection) -> None:
        """Count a connection; call it once for each."""
        if connection.inherited:
            self.inherited += 1
            return
        if connection.failed_phase is not None:
            self.failed += 1
            bump(self.failed_phases, connection.failed_phase)
        elif connection.opened_at is None:
            self.unseen += 1
        else:
            self.opened += 1
        if connection.via is not None and connection.via != "direct":
            bump(self.ways, connection.via)
        self._add_setup(connection)
        self.add_end(connection)

    def add_end(self, connection: Connection) -> None:
        """Count its close, if it is closed."""
        self.closing += connection.close_time or 0.0
        if connection.close_reason is not None and connection.failed_phase is None:
            bump(self.closes, connection.close_reason)
            bump(self.closed_by, connection.closed_by or "unknown")

    def _add_setup(self, connection: Connection) -> None:
        for phase, part in connection.setup.items():
            if phase == "total":
                self.setup_total += part.duration
            else:
                _add(self.setup, phase, part.duration)
                if part.busy is not None:
                    _add(self.busy, phase, part.busy)

    def busy_phases(self) -> list[tuple[PhaseName, float, float]]:
        """Where the program itself kept setup waiting: (phase, seconds of that, seconds of the phase)."""
        return [
            (phase, min(self.busy[phase], took), took)
            for phase in BLAMED_ON_OTHERS
            if self.busy.get(phase, 0.0) >= max(BUSY, BUSY_SHARE * (took := self.setup.get(phase, 0.0)))
        ]

    def merge(self, other: Tally) -> None:
        """Add another's sums to these."""
        self.opened += other.opened
        self.failed += other.failed
        self.unseen += other.unseen
        self.inherited += other.inherited
        self.setup_total += other.setup_total
        self.closing += other.closing
        for sums, others in ((self.setup, other.setup), (self.busy, other.busy)):
            for phase, duration in others.items():
                _add(sums, phase, duration)
        for mine, theirs in (
            (self.failed_phases, other.failed_phases),
            (self.closes, other.closes),
            (self.closed_by, other.closed_by),
            (self.ways, other.ways),
        ):
            for name, number in theirs.items():
                bump(mine, name, number)


class Row:
    """One line of the report. Exchanges are counted when first seen, connections once they are closed."""

    def __init__(self, origin: str, site: Site) -> None:
        self.origin = origin
        self.site = site
        self.clients = 0
        self.construction = 0.0
        """Seconds in which its clients were built, each counted with the first origin it talked to."""
        self.credentials = Credentials()
        self.limits: Limits | None = None
        """What all its pools have in common."""
        self.requests = 0
        self.kept = 0
        """Requests known to have run on a connection, reused or not."""
        self.reused = 0
        self.joined = 0
        self.unconnected = 0
        """Requests that never got a connection."""
        self.errors: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        """Error statuses, 400 and above."""
        self.retries = 0
        """Requests that the library retried by itself."""
        self.troubles: Counter[Trouble] = Counter()
        """What went wrong, by the line that sent the request."""
        self.waited = 0
        self.waited_for_stream = 0
        """Those of them that waited for a stream of an HTTP/2 connection."""
        self.wait_time = 0.0
        self.slowest_wait = 0.0
        self.lost = 0
        """How often a request was assigned a connection that another request took first."""
        self.finished = Tally()
        self.lanes = LaneSample()

    def __repr__(self) -> str:
        return f"<Row {self.origin} {self.site.kind} {self.requests} requests {self.finished!r}>"

    @property
    def cancelled(self) -> int:
        """Requests that were given up: a part of `errors`."""
        return sum(number for name, number in self.errors.items() if is_cancellation(name))

    def add_exchange(self, exchange: Exchange, times: int = 1) -> None:
        """Count a request, finished or in progress; minus one takes it out again."""
        self.requests += times
        if exchange.connection is None:
            if exchange.state is None:
                self.unconnected += times
        elif exchange.reused is not None:
            self.kept += times
            if exchange.reused:
                self.reused += times
            elif exchange.joined:
                self.joined += times
        self.retries += times * (exchange.relation == "retry")
        if exchange.status is not None and exchange.status >= BAD:
            self.statuses[exchange.status] += times
        if exchange.error is not None:
            bump(self.errors, exchange.error)
        trouble = Trouble.of(exchange)
        if trouble is not None and (trouble in self.troubles or len(self.troubles) < MAX_NAMES):
            self.troubles[trouble] += 1
        self.lost += times * exchange.failed_attempts
        wait = exchange.pool_wait
        if wait is not None and wait >= WAITED:
            self.waited += times
            self.waited_for_stream += times * (exchange.waited_for == "stream")
            self.wait_time += times * wait
            self.slowest_wait = max(self.slowest_wait, wait)


def is_cancellation(error: str) -> bool:
    """Whether the class of an exception means that the request was given up, and did not fail."""
    return error.rpartition(".")[2] in _CANCELLATIONS


def bump(counter: Counter[str], name: str, number: int = 1) -> None:
    """Count ``name``, or ``other`` when there are too many names already."""
    counter[name if name in counter or len(counter) < MAX_NAMES else "other"] += number

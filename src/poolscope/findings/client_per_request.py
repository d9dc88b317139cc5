"""PS101: one line builds a client for every request, so no connection is ever used again.

It fires for one call site, in one process and loop, on one origin, with equal settings, when

- at least `MIN_CLIENTS` clients were built, used for at most `MAX_CALLS` requests each, and closed,
- at least `MIN_AVOIDABLE` of them began a request within the keep-alive time after another such request
  there had ended well, so that a kept connection would have been free,
- and that many connections are left when the peak in flight is subtracted,
- clients used for more are at most one in ten, and
- the server keeps connections alive: it did not end more of them than it left to us.

Only clients that were closed or garbage-collected count: one that is still held, even at exit, may be meant
to live long. A client whose settings are not known counts for nothing, nor does one that met an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from poolscope.findings.advice import fix, sentence
from poolscope.findings.base import Rule
from poolscope.findings.churn import Churn, ShortLife
from poolscope.findings.habits import Habit, Habits
from poolscope.records import CallSite, Client, Connection, Exchange, Finding, Pool

MIN_CLIENTS: Final = 3
MAX_CALLS: Final = 2
MIN_AVOIDABLE: Final = 2
LONG_SHARE: Final = 0.1
DEFAULT_KEEPALIVE: Final = 5.0
"""Seconds, where the pool's own limit is not known: what httpx keeps by default, less than most servers."""
MAX_LEAVING: Final = 1_024
"""Closed clients that wait for the close of their connections, which a library may do a little later."""
MAX_ORIGINS: Final = 16
"""Origins followed per client; a client that talks to more is no client per request."""

KEEPS_ALIVE: Final = frozenset(
    {
        None,
        "client_close",
        "gc",
        "program_close",
        "keepalive_expired",
        "max_keepalive_surplus",
        "evicted_max_connections",
        "pool_full",
        "pool_closed",
        "pool_evicted",
    }
)
"""Close reasons (None: not closed yet) after which a shared client could have used the connection again."""


class _Use:
    """What one client did on one origin."""

    __slots__ = ("closes", "ended_well", "peak", "refused", "setup", "spans")

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []
        self.ended_well = True
        self.refused = False
        self.setup: dict[int, float] = {}
        self.closes: dict[int, tuple[float, float]] = {}
        self.peak: int | None = 0

    def add_connection(self, record: Connection) -> None:
        total = record.setup.get("total")
        if total is not None:
            self.setup[record.id] = total.duration
        if record.close_time is not None and record.closed_at is not None:
            self.closes[record.id] = record.closed_at, record.closed_at + record.close_time
        if record.close_reason not in KEEPS_ALIVE:
            self.refused = True

    def add_exchange(self, record: Exchange) -> None:
        if self.peak is not None:
            self.peak = None if record.in_flight is None else max(self.peak, record.in_flight)
        if record.started_at is None or record.finished_at is None or not _ended_well(record):
            self.ended_well = False
        else:
            self.spans.append((record.started_at, record.finished_at))


class _Life:
    """One client between its first record and its last."""

    __slots__ = ("calls", "keepalive", "open", "uses")

    def __init__(self) -> None:
        self.calls = 0
        self.open: set[int] = set()
        self.keepalive: float | None = None
        self.uses: dict[str, _Use] = {}

    def use(self, origin: str) -> _Use | None:
        found = self.uses.get(origin)
        if found is None and len(self.uses) < MAX_ORIGINS:
            found = self.uses[origin] = _Use()
        return found


class ClientPerRequest(Rule):
    """The rule. State: one small object per open client, and at most `MAX_HABITS` habits."""

    code: ClassVar[str] = "PS101"
    title: ClassVar[str] = "client per request"

    def __init__(self) -> None:
        self._lives: dict[tuple[int, int], _Life] = {}
        self._leaving: dict[tuple[int, int], tuple[_Life, Client]] = {}
        self._habits = Habits(_fires)

    def __repr__(self) -> str:
        return f"<ClientPerRequest {len(self._lives)} clients, {self._habits!r}>"

    def client(self, record: Client) -> None:
        key = (record.pid, record.id)
        if record.closed_at is None and record.close_kind is None:
            if key not in self._lives:
                self._lives[key] = _Life()
            return
        life = self._lives.pop(key, None)
        if life is None or not _counts(record):
            return
        self._leaving[key] = life, record
        if not life.open:
            self._left(key)
        elif len(self._leaving) > MAX_LEAVING:
            self._left(next(iter(self._leaving)))

    def _left(self, key: tuple[int, int]) -> None:
        life, client = self._leaving.pop(key)
        _judge(client, life, self._habits)

    def pool(self, record: Pool) -> None:
        life = self._life(record.pid, record.client)
        if life is not None:
            life.keepalive = record.keepalive_expiry

    def connection(self, record: Connection) -> None:
        life = self._life(record.pid, record.client)
        if life is None or record.opened_at is None:
            return
        over = record.closed_at is not None
        (life.open.discard if over else life.open.add)(record.id)
        use = life.use(record.origin) if life.calls <= MAX_CALLS else None
        if use is not None:
            use.add_connection(record)
        key = (record.pid, record.client or 0)
        if over and not life.open and key in self._leaving:
            self._left(key)

    def exchange(self, record: Exchange) -> None:
        life = self._life(record.pid, record.client)
        if life is None:
            return
        if record.previous is None:
            life.calls += 1
        use = life.use(record.origin)
        if use is None:
            return
        if life.calls > MAX_CALLS:
            use.spans.clear()
        else:
            use.add_exchange(record)

    def needs(self, pid: int, client: int | None, origin: str) -> bool:
        """Not of a client that is known to be long-lived, on a server that it is known to use."""
        life = self._life(pid, client)
        return life is not None and (life.calls <= MAX_CALLS or origin not in life.uses)

    def _life(self, pid: int, client: int | None) -> _Life | None:
        if client is None:
            return None
        life = self._lives.get((pid, client))
        if life is None and self._leaving:
            life = self._leaving.get((pid, client), (None, None))[0]
        return life

    def findings(self) -> list[Finding]:
        """One per process, origin and call site, the dearest first."""
        habits = self._habits.copy()
        for life, client in self._leaving.values():
            _judge(client, life, habits)
        together: dict[tuple[int, str, CallSite | None, CallSite | None], list[Churn]] = {}
        for habit, churn in habits.found():
            together.setdefault(habit[:4], []).append(churn)
        found = [self._finding(*where, churns) for where, churns in together.items()]
        return sorted(found, key=lambda finding: -(finding.cost or 0.0))

    def _finding(
        self, pid: int, origin: str, call_site: CallSite | None, sdk: CallSite | None, churns: list[Churn]
    ) -> Finding:
        count = sum(churn.clients for churn in churns)
        kind = churns[-1].kind
        peak = max((churn.peak or 1 for churn in churns), default=1)
        return Finding(
            pid=pid,
            code=self.code,
            title=self.title,
            origin=origin,
            call_site=call_site,
            sdk_call_site=sdk,
            count=count,
            cost=sum(churn.cost for churn in churns),
            saving=_saving(churns),
            fix=fix(kind, sdk, peak),
            kind=kind,
            sentence=sentence(kind, count, sum(churn.calls for churn in churns), origin),
        )


def _counts(client: Client) -> bool:
    """Whether its whole life was seen, and all that tells it from others is known."""
    seen_whole = client.created_at is not None and client.closed_at is not None
    has_line = client.call_site is not None or client.sdk_call_site is not None
    return seen_whole and has_line and client.settings is not None


def _judge(client: Client, life: _Life, habits: Habits) -> None:
    construction = client.construction_time or 0.0
    long_lived = life.calls > MAX_CALLS or len(life.uses) >= MAX_ORIGINS
    for origin, use in life.uses.items():
        habit = Habit(
            client.pid, origin, client.call_site, client.sdk_call_site, client.loop, client.settings or 0
        )
        churn = habits[habit]
        churn.kind = client.kind
        churn.saw_in_flight(use.peak)
        if long_lived:
            churn.long_lived += 1
        elif use.refused:
            churn.refused += 1
        elif use.spans and use.ended_well:
            keepalive = DEFAULT_KEEPALIVE if life.keepalive is None else life.keepalive
            churn.add(
                ShortLife(
                    spans=tuple(use.spans),
                    keepalive=keepalive,
                    built_at=client.created_at or 0.0,
                    construction=construction,
                    setup=sum(use.setup.values()),
                    closes=tuple(use.closes.values()),
                )
            )
            construction = 0.0  # it was built once, whatever the number of origins


def _ended_well(exchange: Exchange) -> bool:
    return (
        exchange.connection is not None
        and exchange.status is not None
        and exchange.error is None
        and exchange.body_complete is not False
    )


def _fires(churn: Churn) -> bool:
    return (
        churn.clients >= MIN_CLIENTS
        and churn.avoidable() >= MIN_AVOIDABLE
        and churn.long_lived <= LONG_SHARE * (churn.clients + churn.long_lived)
        and churn.refused <= churn.clients
    )


def _saving(churns: Iterable[Churn]) -> float | None:
    """Habits that ran one after the other add up; of those that ran side by side only the largest counts."""
    total, largest, until = 0.0, 0.0, float("-inf")
    for churn in sorted(churns, key=lambda churn: churn.busy.first):
        saving = churn.saving()
        if saving is None:
            return None
        if churn.busy.first >= until:
            total, largest = total + largest, 0.0
        largest = max(largest, saving)
        until = max(until, churn.busy.last)
    return total + largest

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

from collections.abc import Callable, Iterable
from itertools import islice
from typing import ClassVar, Final, NamedTuple

from poolscope.findings.advice import fix, sentence
from poolscope.findings.churn import Churn, ShortLife
from poolscope.records import CallSite, Client, Connection, Exchange, Finding, Pool, Record

MIN_CLIENTS: Final = 3
MAX_CALLS: Final = 2
MIN_AVOIDABLE: Final = 2
LONG_SHARE: Final = 0.1
DEFAULT_KEEPALIVE: Final = 5.0
"""Seconds, where the pool's own limit is not known: what httpx keeps by default, less than most servers."""
MAX_HABITS: Final = 4_096
OLDEST: Final = 16
"""Of these one is forgotten when there are too many habits."""
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


class Habit(NamedTuple):
    """What must be equal for two clients to be interchangeable."""

    pid: int
    origin: str
    call_site: CallSite | None
    sdk_call_site: CallSite | None
    loop: int | None
    settings: int


class _Use:
    """What one client did on one origin."""

    __slots__ = ("closing", "ended_well", "peak", "refused", "setup", "spans")

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []
        self.ended_well = True
        self.refused = False
        self.setup: dict[int, float] = {}
        self.closing: dict[int, float] = {}
        self.peak: int | None = 0


class _Life:
    """One client between its first record and its last."""

    __slots__ = ("calls", "keepalive", "uses")

    def __init__(self) -> None:
        self.calls = 0
        self.keepalive: float | None = None
        self.uses: dict[str, _Use] = {}

    def use(self, origin: str) -> _Use | None:
        found = self.uses.get(origin)
        if found is None and len(self.uses) < MAX_ORIGINS:
            found = self.uses[origin] = _Use()
        return found


class ClientPerRequest:
    """The rule. State: one small object per open client, and at most `MAX_HABITS` habits."""

    code: ClassVar[str] = "PS101"
    title: ClassVar[str] = "client per request"

    def __init__(self) -> None:
        self._lives: dict[tuple[int, int], _Life] = {}
        self._habits: dict[Habit, Churn] = {}
        self._consume: dict[type, Callable[..., None]] = {
            Client: self._client,
            Pool: self._pool,
            Connection: self._connection,
            Exchange: self._exchange,
        }

    def __repr__(self) -> str:
        return f"<ClientPerRequest {len(self._lives)} open clients, {len(self._habits)} habits>"

    def consume(self, record: Record) -> None:
        """Take in the next record of the stream."""
        consume = self._consume.get(type(record))
        if consume is not None:
            consume(record)

    def _client(self, record: Client) -> None:
        key = (record.pid, record.id)
        if record.closed_at is None and record.close_kind is None:
            if key not in self._lives:
                self._lives[key] = _Life()
            return
        life = self._lives.pop(key, None)
        seen_whole = record.created_at is not None and record.closed_at is not None
        has_line = record.call_site is not None or record.sdk_call_site is not None
        if life is not None and seen_whole and has_line and record.settings is not None:
            self._judge(record, record.settings, life)

    def _pool(self, record: Pool) -> None:
        life = self._life(record.pid, record.client)
        if life is not None:
            life.keepalive = record.keepalive_expiry

    def _connection(self, record: Connection) -> None:
        if record.closed_at is None and record.opened_at is None:
            return
        life = self._life(record.pid, record.client)
        if life is None or life.calls > MAX_CALLS:
            return
        use = life.use(record.origin)
        if use is None:
            return
        total = record.setup.get("total")
        if total is not None:
            use.setup[record.id] = total.duration
        if record.close_time is not None:
            use.closing[record.id] = record.close_time
        if record.opened_at is not None and record.close_reason not in KEEPS_ALIVE:
            use.refused = True

    def _exchange(self, record: Exchange) -> None:
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
            return
        if use.peak is not None:
            use.peak = None if record.in_flight is None else max(use.peak, record.in_flight)
        if record.started_at is None or record.finished_at is None or not _ended_well(record):
            use.ended_well = False
        else:
            use.spans.append((record.started_at, record.finished_at))

    def _life(self, pid: int, client: int | None) -> _Life | None:
        return None if client is None else self._lives.get((pid, client))

    def _judge(self, client: Client, settings: int, life: _Life) -> None:
        construction = client.construction_time or 0.0
        long_lived = life.calls > MAX_CALLS or len(life.uses) >= MAX_ORIGINS
        for origin, use in life.uses.items():
            churn = self._churn(
                Habit(client.pid, origin, client.call_site, client.sdk_call_site, client.loop, settings)
            )
            churn.kind = client.kind
            churn.saw_in_flight(use.peak)
            if long_lived:
                churn.long_lived += 1
            elif use.refused:
                churn.refused += 1
            elif use.spans and use.ended_well:
                churn.add(
                    ShortLife(
                        spans=tuple(use.spans),
                        keepalive=DEFAULT_KEEPALIVE if life.keepalive is None else life.keepalive,
                        cost=construction + sum(use.setup.values()) + sum(use.closing.values()),
                    )
                )
                construction = 0.0  # it was built once, whatever the number of origins

    def _churn(self, habit: Habit) -> Churn:
        churn = self._habits.get(habit)
        if churn is None:
            if len(self._habits) >= MAX_HABITS:
                self._forget_one()
            churn = self._habits[habit] = Churn()
        return churn

    def _forget_one(self) -> None:
        # The oldest that is no finding: forgetting it can lose a finding, never invent one.
        oldest = list(islice(self._habits.items(), OLDEST))
        habit = next((habit for habit, churn in oldest if not _fires(churn)), oldest[0][0])
        del self._habits[habit]

    def findings(self) -> list[Finding]:
        """One per process, origin and call site, the dearest first."""
        together: dict[tuple[int, str, CallSite | None, CallSite | None], list[Churn]] = {}
        for habit, churn in self._habits.items():
            if _fires(churn):
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
            sentence=sentence(kind, count, sum(churn.calls for churn in churns), origin),
        )


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

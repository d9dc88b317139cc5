"""PS101: one line builds a client for every request or two, so its connections are hardly used again.

It fires for one call site, in one process and, if its clients need one, one event loop, on one origin, with equal settings, when

- at least `MIN_CLIENTS` clients were built, used for at most `MAX_CALLS` requests each (or for up to
  `MOST_CALLS`, where building took more time than they did), and closed,
- at least `MIN_AVOIDABLE` of them began a request within the keep-alive time after another such request
  there had ended well, so that a kept connection would have been free,
- at least as many connections remain when the peak in flight is subtracted,
- clients used for more are at most one in ten, and
- the server keeps connections alive: it did not end more of them than it left open, and silently closed at most one
  in ten of them right after its answer.

The keep-alive time is the shortest of the pool's own, the server's ``Keep-Alive: timeout``, and what the server
was seen to do with idle connections. Only clients that were closed or garbage-collected count: a client that is
still held, even at exit, may be meant to live long. Clients with unknown settings do not count, and neither do clients
that met an error, or that opened no connection because they share a pool.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import ClassVar, Final, TypeAlias

from poolscope.findings.advice import fix, sentence
from poolscope.findings.base import Rule
from poolscope.findings.churn import Churn, ShortLife, took_turns
from poolscope.findings.habits import Habit, Habits
from poolscope.findings.harmless import more_to_be_had, why_harmless
from poolscope.findings.known import idle_at_close, is_bound_to_its_loop
from poolscope.findings.lives import MAX_NOTES, MAX_ORIGINS, MOST_CALLS, Life, short_life
from poolscope.findings.parts import added
from poolscope.findings.peak import peak_of
from poolscope.records import Client, Connection, Exchange, Finding, Pool

MIN_CLIENTS: Final = 3
MAX_CALLS: Final = 2
DOMINATING: Final = 0.5
"""Building, setup and closing dominate from this share of such a client's time on."""
MIN_AVOIDABLE: Final = 2
LONG_SHARE: Final = 0.1
SILENT_SHARE: Final = 0.1
"""If the server silently closed at least this share, it closes them all: a client is mostly quicker."""
MAX_LEAVING: Final = 1_024
"""Closed clients that wait for the close of their connections, which a library may do a little later."""
MAX_LIVES: Final = 2_048
"""Open clients that are followed; beyond it the oldest is forgotten, which can lose a finding but not invent one."""
MAX_PATIENCE: Final = 1_000

_Group: TypeAlias = list[tuple[Habit, Churn]]
_Line: TypeAlias = tuple[object, ...]


class ClientPerRequest(Rule):
    """The rule. State: one small object per open client, and at most `MAX_HABITS` habits."""

    code: ClassVar[str] = "PS101"
    title: ClassVar[str] = "client per request"
    adds_up: ClassVar[bool] = True
    explanation: ClassVar[str] = (
        "A client holds its connections, its TLS context and its CA certificates. A client per request throws them away "
        "after each request, and the next request pays for all of them again."
    )

    def __init__(self) -> None:
        self._lives: dict[tuple[int, int], Life] = {}
        self._leaving: dict[tuple[int, int], tuple[Life, Client]] = {}
        self._habits = Habits(_fires)
        self._patience: dict[str, float] = {}
        """Origin → the shortest idle time after which its server was seen to close."""

    def __repr__(self) -> str:
        return f"<ClientPerRequest {len(self._lives)} clients, {self._habits!r}>"

    def client(self, record: Client) -> None:
        key = (record.pid, record.id)
        if record.closed_at is None and record.close_kind is None:
            if key not in self._lives:
                if len(self._lives) >= MAX_LIVES:
                    del self._lives[next(iter(self._lives))]
                self._lives[key] = Life()
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
        _judge(client, life, self._habits, self._patience)

    def pool(self, record: Pool) -> None:
        life = self._life(record.pid, record.client)
        if life is not None:
            life.keepalive = record.keepalive_expiry

    def connection(self, record: Connection) -> None:
        self._watch_patience(record)
        life = self._life(record.pid, record.client)
        if life is None or record.opened_at is None:
            return
        life.connected = True
        life.note()
        over = record.closed_at is not None
        if over:
            life.open.discard(record.id)
        elif len(life.open) < MAX_NOTES:
            life.open.add(record.id)
        use = life.use(record.origin) if life.calls <= MOST_CALLS else None
        if use is not None:
            use.add_connection(record)
        key = (record.pid, record.client or 0)
        if over and not life.open and key in self._leaving:
            self._left(key)

    def _watch_patience(self, record: Connection) -> None:
        idle = idle_at_close(record)
        if record.close_reason != "server_closed_idle" or idle is None:
            return
        if record.origin in self._patience or len(self._patience) < MAX_PATIENCE:
            self._patience[record.origin] = min(idle, self._patience.get(record.origin, idle))

    def exchange(self, record: Exchange) -> None:
        life = self._life(record.pid, record.client)
        if life is None:
            return
        if record.previous is None:
            life.calls += 1
        life.note()
        use = life.use(record.origin)
        if use is None:
            return
        if life.calls > MOST_CALLS:
            use.spans.clear()
        else:
            use.add_exchange(record)

    def needs(self, pid: int, client: int | None, origin: str) -> bool:
        """False for a client that is known to be long-lived, on a server that it is known to use."""
        life = self._life(pid, client)
        return life is not None and (life.calls <= MOST_CALLS or origin not in life.uses)

    def _life(self, pid: int, client: int | None) -> Life | None:
        if client is None:
            return None
        life = self._lives.get((pid, client))
        if life is None and self._leaving:
            life = self._leaving.get((pid, client), (None, None))[0]
        return life

    def findings(self) -> list[Finding]:
        """One per process, origin, module and kind of client, the most expensive first."""
        habits = self._habits.copy()
        for life, client in self._leaving.values():
            _judge(client, life, habits, self._patience)
        together: dict[tuple[object, ...], _Group] = {}
        for habit, churn in habits.found():
            together.setdefault(_module(habit), []).append((habit, churn))
        lines: dict[tuple[object, ...], list[_Group]] = {}
        for group in together.values():
            group.sort(key=lambda each: -each[1].cost)
            lines.setdefault(_line(group[0][0]), []).append(group)
        asked = _asked(habits) if lines else {}
        found = [each for groups in lines.values() for each in self._of_line(groups, asked)]
        return sorted(found, key=lambda finding: -(finding.cost or 0.0))

    def _of_line(self, groups: list[_Group], asked: dict[_Line, list[Habit]]) -> Iterator[Finding]:
        """One for each server."""
        everywhere = [each for group in groups for each in group]
        lines = {_line(habit) for habit, _ in everywhere}
        size = max(map(peak_of, groups)), _servers(habit for line in lines for habit in asked[line])
        if len(groups) == 1:
            yield self._finding(groups[0], *size)
            return
        origins = tuple(group[0][0].origin for group in groups)
        saving = _saving([churn for _, churn in everywhere])
        for group in groups:
            yield replace(self._finding(group, *size), line_origins=origins, line_saving=saving)

    def _finding(self, found: _Group, peak: int, servers: int) -> Finding:
        habit = found[0][0]
        churns = [churn for _, churn in found]
        count = sum(churn.built for churn in churns)
        harmless = why_harmless(habit, churns)
        return Finding(
            pid=habit.pid,
            code=self.code,
            title=self.title,
            severity="info" if harmless else self.severity,
            kind=habit.kind,
            origin=habit.origin,
            call_site=habit.call_site,
            sdk_call_site=habit.sdk_call_site,
            count=count,
            cost=sum(churn.cost for churn in churns),
            parts={part: cost for part, cost in added(churn.parts for churn in churns).items() if cost},
            saving=_saving(churns),
            fix=fix(habit.kind, habit.sdk_call_site, peak, servers),
            sentence=sentence(habit.kind, count, sum(churn.calls for churn in churns), habit.origin),
            notes=[*_other_lines(found), *more_to_be_had(churns), *([harmless] if harmless else [])],
        )


def _line(habit: Habit) -> _Line:
    return (habit.pid, habit.kind, habit.call_site, habit.sdk_call_site)


def _asked(habits: Iterable[Habit]) -> dict[_Line, list[Habit]]:
    asked: dict[_Line, list[Habit]] = {}
    for habit in habits:
        asked.setdefault(_line(habit), []).append(habit)
    return asked


def _servers(habits: Iterable[Habit]) -> int:
    """How many of them one client would ask: its loop is the same, and requests keeps schemes apart.

    Credentials may differ: a shared client can be given them with each request.
    """
    clients: dict[tuple[object, ...], set[str]] = {}
    for habit in habits:
        scheme = habit.origin.partition(":")[0] if habit.kind.startswith("requests.") else None
        clients.setdefault((habit.loop, scheme), set()).add(habit.origin)
    return max(map(len, clients.values()))


def _module(habit: Habit) -> tuple[object, ...]:
    """The same habit on many lines of one module is one."""
    files = [None if site is None else site.file for site in (habit.call_site, habit.sdk_call_site)]
    return (habit.pid, habit.origin, habit.kind, *files)


def _other_lines(found: _Group) -> list[str]:
    sites = list(dict.fromkeys(habit.call_site for habit, _ in found if habit.call_site is not None))
    if len(sites) < 2:
        return []
    lines = ", ".join(str(line) for line in sorted({site.line for site in sites[1:]}))
    return [f"Also at line {lines} of the same file."]


def _counts(client: Client) -> bool:
    """Whether its whole life was seen and its settings are known."""
    seen_whole = client.created_at is not None and client.closed_at is not None
    return seen_whole and client.settings is not None


def _judge(client: Client, life: Life, habits: Habits, patience: dict[str, float]) -> None:
    construction = _construction(client)
    loop = client.loop if is_bound_to_its_loop(client.kind) else None
    for origin, use in life.uses.items():
        habit = Habit(
            client.pid, origin, client.call_site, client.sdk_call_site, loop, client.settings or 0, client.kind
        )  # fmt: skip
        churn = habits[habit]
        churn.built += 1
        churn.saw_in_flight(use.peak)
        churn.saw_runners(use.runners)
        short = short_life(client, life, use, construction, patience.get(origin))
        if life.calls > MOST_CALLS or len(life.uses) >= MAX_ORIGINS or not _is_short(life, short):
            churn.long_lived += 1
        elif use.refused:
            churn.refused += 1
            churn.silent += use.silent
        elif use.spans and use.ended_well and life.connected:
            churn.add(short)
            churn.failing += use.failing
            churn.large += use.large
            construction = 0.0  # it was built only once, for however many origins


def _construction(client: Client) -> float:
    """Seconds of building it, and of loading certificates into a context that was made for it before."""
    within, loads = client.construction_time or 0.0, client.ca_time or 0.0
    return within if loads <= within else within + loads


def _is_short(life: Life, short: ShortLife) -> bool:
    if life.calls <= MAX_CALLS:
        return True
    return short.cost >= DOMINATING * (short.cost + short.working)


def _fires(churn: Churn) -> bool:
    return (
        churn.clients >= MIN_CLIENTS
        and churn.avoidable() >= MIN_AVOIDABLE
        and churn.long_lived <= LONG_SHARE * (churn.clients + churn.long_lived)
        and churn.refused <= churn.clients
        and churn.silent <= SILENT_SHARE * churn.clients
    )


def _saving(churns: list[Churn]) -> float | None:
    """The sum of habits of one thread or task, or one after the other; of those side by side, the largest."""
    turns = took_turns(churns)
    total, largest, until = 0.0, 0.0, float("-inf")
    for churn in sorted(churns, key=lambda churn: churn.busy.first):
        saving = churn.saving()
        if saving is None:
            return None
        if turns or churn.busy.first >= until:
            total, largest = total + largest, 0.0
        largest = max(largest, saving)
        until = max(until, churn.busy.last)
    return total + largest

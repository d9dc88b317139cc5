"""In the watched process: what is live now and what the recording has counted, as one bounded frame.

Every loop here is over raw sheets, once, and makes objects only of what is shown: 10,000 connections are to cost
milliseconds.
"""

from __future__ import annotations

import os
from heapq import nsmallest
from typing import Any, Final

from poolscope import facts
from poolscope.facts import RawOrigin, now
from poolscope.genuine import wall
from poolscope.ledger import convert
from poolscope.ledger.since import Since
from poolscope.ledger.snapshot import ConnectionState, elapsed, holding
from poolscope.ledger.urls import format_origin, text
from poolscope.look.frame import (
    SCHEMA,
    Counts,
    FindingNow,
    Holder,
    LaneNow,
    Look,
    OriginNow,
    PoolNow,
    RouteNow,
    Waiter,
    WaiterState,
)
from poolscope.queue import FACTS
from poolscope.recording.origins import wanted
from poolscope.recording.watched import Watched
from poolscope.records import CallSite, Finding
from poolscope.reports.overview import Overview
from poolscope.reports.routes import RouteSums
from poolscope.story.live import LIVE

ORIGINS: Final = 100
ROUTES: Final = 100
HELD: Final = 50
"""Requests of a kind that are named."""
POOLS: Final = 50
LANES: Final = 60
FINDINGS: Final = 20
GAP: Final = 10.0
"""If more seconds pass between two looks, the time of a finding is unknown."""


class Taker:
    """Takes looks, and remembers when it first saw each finding."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._first_seen: dict[tuple[str, str | None, CallSite | None], float | None] = {}
        self._looked_at: float | None = None

    def __repr__(self) -> str:
        return f"<Taker of {self._watched.program}>"

    def take(self, overview: Overview, since: Since, wait: float) -> Look:
        """A look, taken while no drain is under way; the next comes in ``wait`` seconds."""
        at = now()
        live = _Live(at, since, self._watched.origins)
        look = Look(
            schema=SCHEMA,
            pid=os.getpid(),
            parent=self._watched.parent,
            program=self._watched.program,
            taken_at=wall(),
            up=at - self._watched.started_at,
            next=wait,
            totals=Counts(),
            clients=sum(number > since.client for number in list(LIVE.clients)),
            dropped=FACTS.dropped,
            routes=[_route(sums) for sums in overview.routes.all()[:ROUTES]],
            pools=live.pools(),
            holders=[_holder(sheet, at) for sheet in nsmallest(HELD, live.holding, key=_began)],
            waiters=[_waiter(sheet, at) for sheet in nsmallest(HELD, live.waiting, key=_began)],
            lanes=[_lane(sheet, at) for sheet in live.lanes()],
            findings=self._findings(overview, at),
        )
        origins = live.origins
        _count_past(origins, overview)
        for origin in origins.values():
            look.totals.add(origin)
        look.origins = sorted(origins.values(), key=_urgency)[:ORIGINS]
        return look

    def _findings(self, overview: Overview, at: float) -> list[FindingNow]:
        found = overview.findings()
        keys = [(finding.code, finding.origin, finding.call_site) for finding in found]
        just_now = None if self._looked_at is None or at - self._looked_at > GAP else at
        self._looked_at = at
        self._first_seen = {key: self._first_seen.get(key, just_now) for key in keys}
        findings = [
            _finding(one, None if (first := self._first_seen[key]) is None else at - first)
            for one, key in zip(found, keys, strict=True)
        ]
        return nsmallest(FINDINGS, findings, key=FindingNow.age)


class _Live:
    """One pass over what is live."""

    def __init__(self, at: float, since: Since, patterns: list[str]) -> None:
        self.origins: dict[str, OriginNow] = {}
        self.holding: list[facts.Exchange] = []
        self.waiting: list[facts.Exchange] = []
        self._by_raw: dict[RawOrigin, OriginNow | None] = {}
        self._patterns = patterns
        self._since = since
        self._taken: dict[int | None, int] = {}
        self._waiting_for: dict[int | None, int] = {}
        self._busy: list[facts.Connection] = []
        self._idle: list[facts.Connection] = []
        self._connections()
        self._exchanges(at)

    def _of(self, raw: RawOrigin) -> OriginNow | None:
        """The entry of a server; None if it is filtered out."""
        try:
            return self._by_raw[raw]
        except KeyError:
            name = format_origin(raw)
            counts = (
                self.origins.setdefault(name, OriginNow(origin=name))
                if wanted(name, self._patterns)
                else None
            )
            self._by_raw[raw] = counts
            return counts

    def _connections(self) -> None:
        since, taken = self._since.connection, self._taken
        for sheet in list(LIVE.connections.values()):
            counts = self._of(sheet.origin) if sheet.id > since else None
            if counts is None:
                continue
            if sheet.in_flight:
                counts.active += 1
                self._busy.append(sheet)
            elif sheet.opened_at is None and sheet.setup_started_at is not None:
                counts.connecting += 1
                self._busy.append(sheet)
            else:
                counts.idle += 1
                self._idle.append(sheet)
                continue
            taken[sheet.pool] = taken.get(sheet.pool, 0) + 1

    def _exchanges(self, at: float) -> None:
        for sheet in list(LIVE.exchanges.values()):
            counts = self._of(sheet.origin) if sheet.id > self._since.exchange else None
            if counts is None:
                continue
            if sheet.connection is not None:
                self.holding.append(sheet)
                continue
            self.waiting.append(sheet)
            if sheet.connecting is None:
                counts.waiting += 1
                counts.oldest_wait = max(counts.oldest_wait or 0.0, elapsed(sheet.started_at, at))
                self._waiting_for[sheet.pool] = self._waiting_for.get(sheet.pool, 0) + 1

    def pools(self) -> list[PoolNow]:
        """Pools with a limit that are in use, the fullest first."""
        used = {number for number in (*self._taken, *self._waiting_for) if number is not None}
        sheets = [sheet for number in used if (sheet := LIVE.pools.get(number)) is not None]
        limited = [
            _pool(
                sheet, sheet.max_connections, self._taken.get(sheet.id, 0), self._waiting_for.get(sheet.id, 0)
            )
            for sheet in sheets
            if sheet.max_connections is not None
        ]
        return sorted(limited, key=lambda pool: (-pool.waiting, -pool.taken / max(pool.limit, 1)))[:POOLS]

    def lanes(self) -> list[facts.Connection]:
        """The oldest active and the newest idle connections, in the order in which they were opened."""
        shown = self._busy[:LANES]
        shown += self._idle[len(self._idle) - (LANES - len(shown)) :] if len(shown) < LANES else []
        return sorted(shown, key=lambda sheet: sheet.id)


def _count_past(origins: dict[str, OriginNow], overview: Overview) -> None:
    opened = overview.opened()
    for row in overview.rows():
        counts = origins.setdefault(row.origin, OriginNow(origin=row.origin))
        counts.requests += row.requests
        counts.on_connection += row.kept
        counts.reused += row.reused
        counts.opened += opened[row]


def _urgency(origin: OriginNow) -> tuple[int, int, int]:
    return (-origin.waiting, -origin.active, -origin.requests)


def _began(sheet: facts.Exchange) -> float:
    return sheet.started_at


def _route(sums: RouteSums) -> RouteNow:
    return RouteNow(
        route=sums.route,
        served=sums.served,
        requests=sums.requests,
        on_connection=sums.kept,
        reused=sums.reused,
        opened=sums.opened,
        setup=sums.setup,
        waited=sums.waited,
    )


def _pool(sheet: facts.Pool, limit: int, taken: int, waiting: int) -> PoolNow:
    client = None if sheet.client is None else LIVE.clients.get(sheet.client)
    return PoolNow(
        pool=sheet.id,
        kind=None if client is None else client.kind,
        call_site=None if client is None else convert.call_site(client.call_site),
        limit=limit,
        taken=taken,
        waiting=waiting,
    )


def _shared(sheet: facts.Exchange) -> dict[str, Any]:
    return {
        "exchange": sheet.id,
        "origin": format_origin(sheet.origin),
        "method": text(sheet.method),
        "pool": sheet.pool,
        "task": sheet.task,
        "route": sheet.route,
        "call_site": convert.call_site(sheet.call_site),
    }


def _holder(sheet: facts.Exchange, at: float) -> Holder:
    connection = sheet.connection
    number = 0 if connection is None else connection.id
    return Holder(
        connection=number, state=holding(sheet), held=elapsed(sheet.started_at, at), **_shared(sheet)
    )


def _waiter(sheet: facts.Exchange, at: float) -> Waiter:
    state: WaiterState = "waiting" if sheet.connecting is None else "connecting"
    return Waiter(state=state, waited=elapsed(sheet.started_at, at), **_shared(sheet))


def _lane(sheet: facts.Connection, at: float) -> LaneNow:
    state: ConnectionState = "idle"
    since = sheet.idle_since
    if sheet.in_flight:
        state, since = "active", None
    elif sheet.opened_at is None and sheet.setup_started_at is not None:
        state, since = "connecting", sheet.setup_started_at
    return LaneNow(
        connection=sheet.id,
        origin=format_origin(sheet.origin),
        state=state,
        requests=sheet.requests,
        since=None if since is None else elapsed(since, at),
        age=None if sheet.opened_at is None else elapsed(sheet.opened_at, at),
    )


def _finding(finding: Finding, ago: float | None) -> FindingNow:
    return FindingNow(
        code=finding.code,
        title=finding.title,
        severity=finding.severity,
        origin=finding.origin,
        call_site=finding.call_site or finding.sdk_call_site,
        count=finding.count,
        cost=finding.cost,
        saving=finding.saving,
        sentence=finding.sentence,
        fix=finding.fix,
        seen=ago,
    )

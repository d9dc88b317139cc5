"""What is live right now: the supported replacement for looking into ``client._transport._pool``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from poolscope import facts, records
from poolscope.facts import HolderState, now
from poolscope.ledger import convert
from poolscope.ledger.since import Since
from poolscope.ledger.urls import format_origin, text
from poolscope.story.live import LIVE

ConnectionState: TypeAlias = Literal["connecting", "active", "idle"]


@dataclass(slots=True, frozen=True)
class LiveConnection:
    """An open connection, or one in setup."""

    id: int
    origin: str
    state: ConnectionState
    requests: int
    age: float | None
    """Seconds since it was opened; None if that was before we looked."""
    idle_time: float | None
    client: int | None
    pool: int | None
    exchanges: tuple[int, ...]
    """Ids of the exchanges it is serving."""
    opened_by: int | None = None
    """Id of the exchange that sets it up, or did."""


@dataclass(slots=True, frozen=True)
class Waiter:
    """A request that has no connection yet."""

    exchange: int
    origin: str
    method: str | None
    waited: float
    """Seconds since it asked."""
    client: int | None
    pool: int | None
    call_site: records.CallSite | None


@dataclass(slots=True, frozen=True)
class Holder:
    """A request that holds a connection."""

    exchange: int
    connection: int
    origin: str
    method: str | None
    held: float
    """Seconds since the request started."""
    state: HolderState
    client: int | None
    pool: int | None
    call_site: records.CallSite | None


@dataclass(slots=True, frozen=True)
class Snapshot:
    """Live clients, pools with their limits, connections, and the requests that wait for or hold them."""

    taken_at: float
    clients: tuple[records.Client, ...]
    pools: tuple[records.Pool, ...]
    connections: tuple[LiveConnection, ...]
    waiters: tuple[Waiter, ...]
    holders: tuple[Holder, ...]

    def to_json(self) -> str:
        """All of it as a JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, pid: int, since: Since) -> Snapshot:
        """What is live and began after ``since``."""
        at = now()
        # Read once: the task of an exchange may give its connection up, or get one, at any time.
        exchanges = [
            (sheet, sheet.connection) for sheet in list(LIVE.exchanges.values()) if sheet.id > since.exchange
        ]
        kept = [(sheet, sheet.connection) for sheet in LIVE.not_given_back() if sheet.id > since.exchange]
        return cls(
            taken_at=at,
            clients=tuple(
                convert.client(sheet, pid) for sheet in list(LIVE.clients.values()) if sheet.id > since.client
            ),
            pools=tuple(
                convert.pool(sheet, pid) for sheet in list(LIVE.pools.values()) if sheet.id > since.pool
            ),
            connections=tuple(
                _live(sheet, at) for sheet in list(LIVE.connections.values()) if sheet.id > since.connection
            ),
            waiters=tuple(_waiter(sheet, at) for sheet, connection in exchanges if connection is None),
            holders=tuple(
                _holder(sheet, connection, at)
                for sheet, connection in (*exchanges, *kept)
                if connection is not None
            ),
        )


def elapsed(moment: float, at: float) -> float:
    """Seconds from ``moment`` until ``at``; another thread may have noted it after ``at`` was read."""
    return max(at - moment, 0.0)


def _live(sheet: facts.Connection, at: float) -> LiveConnection:
    serving = tuple(sorted(sheet.in_flight.copy()))
    connecting = sheet.opened_at is None and sheet.setup_started_at is not None
    state: ConnectionState = "connecting" if connecting else "active" if serving else "idle"
    since, opened = sheet.idle_since, sheet.opened_at  # read once: other threads go on
    idle = elapsed(since, at) if state == "idle" and since is not None else None
    age = None if opened is None else elapsed(opened, at)
    return LiveConnection(
        sheet.id, format_origin(sheet.origin), state, sheet.requests, age, idle, sheet.client, sheet.pool, serving, sheet.opened_by
    )  # fmt: skip


def _waiter(sheet: facts.Exchange, at: float) -> Waiter:
    return Waiter(
        exchange=sheet.id,
        origin=format_origin(sheet.origin),
        method=text(sheet.method),
        waited=elapsed(sheet.started_at, at),
        client=sheet.client,
        pool=sheet.pool,
        call_site=convert.call_site(sheet.call_site),
    )


def holding(sheet: facts.Exchange) -> HolderState:
    """What a request does with the connection that it holds."""
    if sheet.headers_at is not None:
        return "reading"
    return "sending" if sheet.sent_at is None else "awaiting_headers"


def _holder(sheet: facts.Exchange, connection: facts.Connection, at: float) -> Holder:
    return Holder(
        exchange=sheet.id,
        connection=connection.id,
        origin=format_origin(sheet.origin),
        method=text(sheet.method),
        held=elapsed(sheet.started_at, at),
        state=holding(sheet) if sheet.finished_at is None else "not_given_back",
        client=sheet.client,
        pool=sheet.pool,
        call_site=convert.call_site(sheet.call_site),
    )

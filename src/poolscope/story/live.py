"""What is live now, once: snapshots, gauges, waiters, holders and the end of a run all read this registry.

It holds only sheets: never an object of the host or a mark with a finalizer, because it would keep them alive.
Any thread writes, also inside garbage collection, so readers copy: ``list(LIVE.exchanges.values())``, never a
comprehension over the dictionary itself. Suppressed exchanges are not in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from poolscope.facts import Client, Connection, Exchange, HolderState, Pool, RawOrigin, State
from poolscope.ids import IDS
from poolscope.queue import FACTS

LIMIT: Final = 100_000
"""Live things of a kind; beyond it the oldest are forgotten, because their end was lost."""
CLIENTLESS_POOLS: Final = 1_000
"""Pools without a client are never closed; the newest are remembered."""

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at who holds the connections of one pool: looking is linear in what is live."""


class Registry:
    """Clients, pools, connections and exchanges that are live, each by its id."""

    __slots__ = ("clients", "connections", "exchanges", "lent", "peers", "pools", "since")

    def __init__(self) -> None:
        self.reset()

    def __repr__(self) -> str:
        return (
            f"<Registry of {len(self.clients)} clients, {len(self.pools)} pools, "
            f"{len(self.connections)} connections, {len(self.exchanges)} exchanges>"
        )

    def reset(self) -> None:
        """Forget everything, as a forked child must, because its parent reports what is live; or after a gap, in
        which nobody saw what ended.
        """
        self.since = IDS.exchange.value
        """The newest exchange of before."""
        self.clients: dict[int, Client] = {}
        self.pools: dict[int, Pool] = {}
        self.connections: dict[int, Connection] = {}
        self.exchanges: dict[int, Exchange] = {}
        self.lent: dict[int, Exchange] = {}
        """Exchanges that hold a slot of a pool with a limit, until they give it back."""
        self.peers: dict[Any, dict[int, None]] = {}
        """Exchanges in flight by origin and by the line that built their client."""

    def begins(self, exchange: Exchange) -> None:
        """``exchange`` is live from now on, and joins those in flight from the same client's line."""
        client = None if exchange.client is None else self.clients.get(exchange.client)
        line: tuple[int, ...] | None = ()
        if client is not None:
            client.started.up()
            line = client.line
            if line is None:
                line = client.line = _line_of(client)
        key = exchange.origin, line
        peers = self.peers.get(key)
        if peers is None:
            peers = self.peers.setdefault(key, {})
        peers[exchange.id] = None
        while self.peers.get(key) is not peers:  # `bound` took it away in between
            peers = self.peers.setdefault(key, peers)
            peers[exchange.id] = None
        exchange._peers = peers
        exchange.in_flight = len(peers)
        self.exchanges[exchange.id] = exchange

    def origins(self) -> set[RawOrigin]:
        """Where requests went of late."""
        return {key[0] for key in list(self.peers)}

    def bound(self) -> None:
        """Forget what has no end; called by the drain, one thread at a time."""
        for live in (self.clients, self.connections, self.exchanges, self.lent):
            _drop_oldest(live, LIMIT)
        _drop_oldest(self.pools, CLIENTLESS_POOLS, kept=self._has_client)
        if len(self.peers) > CLIENTLESS_POOLS:
            for key, peers in list(self.peers.items()):
                if not peers:
                    self.peers.pop(key, None)

    def not_given_back(self) -> list[Exchange]:
        """Exchanges that are over but never gave their slot back to their pool."""
        return [sheet for sheet in list(self.lent.values()) if sheet.finished_at is not None]

    def look_for_holders(self, waiting: Exchange, at: float) -> None:
        """Note the holders of the connections that ``waiting`` waits for, at most every `LOOK_EVERY` seconds per
        pool.
        """
        pool = None if waiting.pool is None else self.pools.get(waiting.pool)
        if pool is None or at - pool.starved_at < LOOK_EVERY:
            return
        pool.starved_at = at
        mark = waiting._mark
        on = None if mark is None else mark.sheet  # else it waits for a stream of that very connection
        holding: list[tuple[Exchange, HolderState]] = [
            (sheet, state)
            for sheet in list(self.exchanges.values())
            if sheet.pool == waiting.pool and sheet is not waiting and _holds(sheet, on)
            # Another thread may have lost its connection since.
            if (state := state_of(sheet)) != "waiting"
        ]
        holding.extend(
            (sheet, "not_given_back") for sheet in self.not_given_back() if sheet.pool == waiting.pool
        )
        waiting.holders = tuple(holding)

    def _has_client(self, pool: Pool) -> bool:
        return pool.client in self.clients


def _line_of(client: Client) -> tuple[int, ...]:
    site = client.call_site or client.sdk_call_site
    return () if site is None else (id(site[0]), site[1])  # a code object is hashed slowly


def _drop_oldest(live: dict[int, Any], limit: int, kept: Callable[[Any], bool] | None = None) -> None:
    # A tenth at once: removing the oldest entries one by one is quadratic.
    if len(live) <= limit + limit // 10:
        return
    excess = [key for key, thing in list(live.items()) if kept is None or not kept(thing)]
    for key in excess[: max(len(excess) - limit, 0)]:
        live.pop(key, None)


def _holds(exchange: Exchange, connection: Connection | None) -> bool:
    if connection is not None:
        return exchange.connection is connection
    return exchange.connection is not None or exchange.connecting is not None


def state_of(exchange: Exchange) -> State:
    """How far ``exchange`` is, seen from any thread."""
    if exchange.headers_at is not None:
        return "reading"
    if exchange.sent_at is not None:
        return "awaiting_headers"
    if exchange.connection is not None:
        return "sending"
    return "waiting" if exchange.connecting is None else "connecting"


LIVE: Final = Registry()
FACTS.at_fork = (*FACTS.at_fork, LIVE.reset)

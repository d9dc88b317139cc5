"""How full pools with a limit are: their limits and connections, by kind of client and by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from poolscope.facts import Exchange
from poolscope.ledger.convert import waited_for
from poolscope.queue import FACTS
from poolscope.signals import names
from poolscope.story.live import LIVE
from poolscope.story.pool import name_of

Key = tuple[str, str | None]
"""The kind of client, and the name of its pools."""


class PoolSums:
    """Sums over live pools with a limit of connections."""

    __slots__ = ("active", "idle", "most", "most_idle")

    def __init__(self) -> None:
        self.most = self.most_idle = self.active = self.idle = 0

    def __repr__(self) -> str:
        return f"<PoolSums {self.active} active and {self.idle} idle of {self.most}>"


def limited_pools() -> dict[Key, PoolSums]:
    """Those sums; pools without a limit cannot be full and are left out."""
    sums: dict[Key, PoolSums] = {}
    keys: dict[int, Key] = {}
    for pool in list(LIVE.pools.values()):
        client = None if pool.client is None else LIVE.clients.get(pool.client)
        if client is None or pool.max_connections is None or pool.epoch != FACTS.epoch:
            continue
        key = keys[pool.id] = client.kind, pool.name
        known = sums.setdefault(key, PoolSums())
        known.most += pool.max_connections
        known.most_idle += min(pool.max_connections, pool.max_idle or pool.max_connections)
    for connection in list(LIVE.connections.values()):
        of = None if connection.pool is None else keys.get(connection.pool)
        if of is None:
            continue
        if connection.in_flight or connection.opened_at is None:
            sums[of].active += 1
        else:
            sums[of].idle += 1
    return sums


def values(metric: str) -> dict[tuple[Any, ...], tuple[dict[str, Any], float]]:
    """The values of one metric of pools, with their attributes, by kind and name."""
    counts: dict[tuple[Any, ...], tuple[dict[str, Any], float]] = {}
    for (kind, name), sums in limited_pools().items():
        about = {names.CLIENT_KIND: kind, **called(name)}
        for state, value in _VALUES[metric](sums).items():
            counts[kind, name, state] = ({**about, names.STATE: state} if state else about, value)
    return counts


_VALUES: Final[dict[str, Callable[[PoolSums], dict[str | None, int]]]] = {
    names.POOL_MAX: lambda sums: {None: sums.most},
    names.POOL_IDLE_MAX: lambda sums: {None: sums.most_idle},
    names.POOL_COUNT: lambda sums: {"active": sums.active, "idle": sums.idle},
}


def queue_of(exchange: Exchange) -> dict[str, Any]:
    """The attributes of the queue that an exchange has waited in."""
    about = called(name_of(exchange.pool))
    if waited_for(exchange) == "stream":
        about[names.WAITED_FOR] = "stream"
    return about


def called(name: str | None) -> dict[str, Any]:
    """The attribute of a pool that the program has given a name."""
    return {} if name is None else {names.POOL_NAME: name}

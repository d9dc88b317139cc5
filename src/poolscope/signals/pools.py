"""How full pools are: the limits of those that have one, and the connections they hold, by the kind of client."""

from __future__ import annotations

from poolscope.queue import FACTS
from poolscope.story.live import LIVE


class PoolSums:
    """Sums over the live pools of one kind of client that open so many connections and no more."""

    __slots__ = ("active", "idle", "most", "most_idle")

    def __init__(self) -> None:
        self.most = self.most_idle = self.active = self.idle = 0

    def __repr__(self) -> str:
        return f"<PoolSums {self.active} active and {self.idle} idle of {self.most}>"


def limited_pools() -> dict[str, PoolSums]:
    """Those sums, by the kind of client; pools without a limit cannot be full and are left out."""
    sums: dict[str, PoolSums] = {}
    kinds: dict[int, str] = {}
    for pool in list(LIVE.pools.values()):
        client = None if pool.client is None else LIVE.clients.get(pool.client)
        if client is None or pool.max_connections is None or pool.epoch != FACTS.epoch:
            continue
        known = sums.setdefault(client.kind, PoolSums())
        kinds[pool.id] = client.kind
        known.most += pool.max_connections
        known.most_idle += min(pool.max_connections, pool.max_idle or pool.max_connections)
    for connection in list(LIVE.connections.values()):
        kind = None if connection.pool is None else kinds.get(connection.pool)
        if kind is None:
            continue
        if connection.in_flight or connection.opened_at is None:
            sums[kind].active += 1
        else:
            sums[kind].idle += 1
    return sums

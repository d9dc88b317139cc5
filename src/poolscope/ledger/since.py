"""Which things began after us, so that we report them."""

from __future__ import annotations

from typing import NamedTuple

from poolscope.ids import IDS


class Since(NamedTuple):
    """The newest ids at some moment: what began later has higher ones."""

    client: int
    pool: int
    connection: int
    exchange: int

    @classmethod
    def now(cls) -> Since:
        """The newest ids there are."""
        return cls(IDS.client.value, IDS.pool.value, IDS.connection.value, IDS.exchange.value)

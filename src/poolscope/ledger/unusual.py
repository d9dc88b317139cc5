"""Which exchanges are unusual, and so worth a record even if no rule follows their client."""

from __future__ import annotations

from typing import Final

from poolscope.facts import Exchange

LONG_WAIT: Final = 0.05
"""A wait in the pool's queue counts from this many seconds on."""


def unusual(exchange: Exchange) -> bool:
    """Whether it is anything but a good answer, read to its end, on a reused connection."""
    connection, status, waited = exchange.connection, exchange.status, exchange.pool_wait
    return (
        exchange.reused is not True
        or exchange.body_complete is not True
        or exchange.error is not None
        or exchange.previous is not None
        or status is None
        or status >= 300
        or connection is None
        or connection.epoch != exchange.epoch
        or connection.loop != exchange.loop
        or (waited is not None and waited >= LONG_WAIT)
    )

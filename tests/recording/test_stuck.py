"""When poolscope looks for requests that have waited long."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from poolscope.facts import Connection, Exchange
from poolscope.recording import stuck
from poolscope.story.live import LIVE

ORIGIN = ("http", "shop.test", None)


@pytest.fixture
def asked() -> Iterator[Exchange]:
    """A request that asked at 10.0 s."""
    exchange = Exchange(ORIGIN, 0, 10.0)
    LIVE.exchanges[exchange.id] = exchange
    yield exchange
    LIVE.exchanges.pop(exchange.id)


def test_a_snapshot_is_taken_only_when_a_request_waits_long(asked: Exchange) -> None:
    """With 50,000 idle clients, a snapshot each second took 9 % of a core."""
    assert not stuck.somebody_waits(10.0 + stuck.LONG)
    assert stuck.somebody_waits(10.1 + stuck.LONG)
    asked.connection = Connection(ORIGIN, 0)
    assert not stuck.somebody_waits(60.0)

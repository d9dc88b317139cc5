"""PS104: it fires where connections are opened again after as many were thrown away by a full pool."""

from __future__ import annotations

from typing import Any

import pytest

from poolscope.findings.lives import DEFAULT_KEEPALIVE
from poolscope.findings.pool_overflow import MIN_REOPENED
from tests.findings.rule import count, found
from tests.reports.stories import LINE, Story


def bursts(
    times: int,
    at_once: int,
    kept: int = 10,
    reason: str = "pool_full",
    kind: str = "requests.Session",
    *,
    pause: float = 0.0,
    server_keepalive: float | None = None,
) -> Story:
    """Bursts on one pool: each opens the connections that the burst before did not leave, and leaves ``kept``."""
    story = Story()
    client = story.client(kind=kind)
    pool = story.pool(client, most=None)
    idle: list[Any] = []
    for _ in range(times):
        new = range(at_once - len(idle))
        used = [
            *idle,
            *(story.connect(client, pool=pool.id, server_keepalive=server_keepalive) for _ in new),
        ]
        for connection in used:
            story.exchange(client, connection)
        for connection in used[kept:]:
            story.disconnect(connection, reason)
        idle = used[:kept]
        story.now += pause
    return story


def test_one_burst_does_no_harm() -> None:
    assert count("PS104", bursts(1, 50)) is None


def test_one_burst_does_no_harm_if_some_take_longer_to_connect() -> None:
    """They began before the first of the others was thrown away, so they take no other one's place."""
    story = Story()
    client = story.client(kind="requests.Session")
    pool = story.pool(client, most=None)
    began = story.now
    quick = [story.connect(client, pool=pool.id) for _ in range(20)]
    for connection in quick[10:]:
        story.exchange(client, connection)
        story.disconnect(connection, "pool_full")
    for _ in range(10):
        story.connect(client, pool=pool.id, setup_started_at=began)
    assert not found("PS104", story)


def test_reopened_below_and_at_the_threshold() -> None:
    assert count("PS104", bursts(2, 10 + MIN_REOPENED - 1)) is None
    assert count("PS104", bursts(2, 10 + MIN_REOPENED)) == 2 * MIN_REOPENED


def test_it_names_what_is_kept_and_what_is_needed() -> None:
    (finding,) = found("PS104", bursts(5, 25))
    assert finding.call_site == LINE
    assert "up to 25 connections" in finding.sentence
    assert "keeps 10" in finding.sentence
    assert "pool_maxsize=25" in finding.fix
    assert finding.cost == pytest.approx(4 * 15 * 0.01)


def test_bursts_so_far_apart_that_no_connection_would_have_been_kept() -> None:
    assert count("PS104", bursts(5, 25, pause=DEFAULT_KEEPALIVE - 1.0)) == 5 * 15
    assert count("PS104", bursts(5, 25, pause=DEFAULT_KEEPALIVE + 1.0)) is None
    assert count("PS104", bursts(5, 25, pause=60.0, server_keepalive=75.0)) == 5 * 15
    assert count("PS104", bursts(5, 25, pause=4.0, server_keepalive=2.0)) is None


def test_a_pool_that_is_large_enough() -> None:
    assert count("PS104", bursts(5, 10)) is None


def test_connections_closed_for_another_reason() -> None:
    assert count("PS104", bursts(5, 25, reason="server_closed_idle")) is None

"""PS107: it fires where connections expire just before they are needed."""

from __future__ import annotations

import pytest

from poolscope.findings.keepalive_clash import MIN_EXPIRED, TIMES
from tests.findings.rule import count, found
from tests.reports.stories import Story


def polled(times: int, pause: float, expiry: float | None = 5.0, reason: str = "keepalive_expired") -> Story:
    story = Story()
    client = story.client()
    pool = story.pool(client, expiry)
    for _ in range(times):
        connection = story.connect(client, pool=pool.id, server_keepalive=60.0)
        story.exchange(client, connection)
        connection.idle_since = story.now
        story.now += pause
        story.disconnect(connection, reason)
    return story


def test_times_below_and_at_the_threshold() -> None:
    assert count("PS107", polled(MIN_EXPIRED - 1, 6.0)) is None
    assert count("PS107", polled(MIN_EXPIRED, 6.0)) == MIN_EXPIRED


def test_a_pause_too_long_to_keep_a_connection() -> None:
    assert count("PS107", polled(5, 5.0 * TIMES)) == 5
    assert count("PS107", polled(5, 5.0 * TIMES + 0.1)) is None


def test_it_says_what_to_set() -> None:
    (finding,) = found("PS107", polled(5, 6.0))
    assert finding.severity == "info"
    assert "keepalive_expiry=…) with more than 6 s" in finding.fix
    assert "The server keeps them for 60 s" in finding.fix
    assert finding.cost == pytest.approx(5 * 0.01)


@pytest.mark.parametrize("reason", ["server_closed_idle", "client_close", "max_keepalive_surplus"])
def test_other_ends(reason: str) -> None:
    assert count("PS107", polled(10, 6.0, reason=reason)) is None


def test_where_most_are_closed_for_other_reasons() -> None:
    story = polled(5, 6.0)
    client = story.client()
    for _ in range(5):
        story.disconnect(story.connect(client), "client_close")
    assert count("PS107", story) is None

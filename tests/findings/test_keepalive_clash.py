"""PS107: it fires where connections expire just before they are needed."""

from __future__ import annotations

import pytest

from poolscope.findings.keepalive_clash import MIN_EXPIRED, TIMES
from tests.findings.rule import count, found
from tests.reports.stories import Story


def polled(
    times: int,
    pause: float,
    expiry: float | None = 5.0,
    reason: str = "keepalive_expired",
    *,
    server_keepalive: float | None = 60.0,
    closes_after: float | None = None,
) -> Story:
    """Connections that expire: so many, and one more that is not over."""
    story = Story()
    client = story.client()
    pool = story.pool(client, expiry)
    for _ in range(times):
        connection = story.connect(client, pool=pool.id, server_keepalive=server_keepalive)
        story.exchange(client, connection)
        connection.idle_since = story.now
        closed_after = pause if closes_after is None else closes_after
        story.now += closed_after
        story.disconnect(connection, reason)
        story.now += pause - closed_after
    story.connect(client, pool=pool.id)
    return story


def test_times_below_and_at_the_threshold() -> None:
    assert count("PS107", polled(MIN_EXPIRED - 1, 6.0)) is None
    assert count("PS107", polled(MIN_EXPIRED, 6.0)) == MIN_EXPIRED


def test_a_pause_too_long_to_keep_a_connection() -> None:
    assert count("PS107", polled(5, 5.0 * TIMES)) == 5
    assert count("PS107", polled(5, 5.0 * TIMES + 0.1)) is None


@pytest.mark.parametrize(
    ("pause", "count_of_all"), [(5.0 * TIMES, 5), (5.0 * TIMES + 0.1, None), (600.0, None)]
)
def test_a_library_that_closes_without_waiting_for_the_next_request(
    pause: float, count_of_all: int | None
) -> None:
    assert count("PS107", polled(5, pause, closes_after=5.0)) == count_of_all


def test_a_connection_that_nobody_needs_again() -> None:
    story = Story()
    client = story.client()
    pool = story.pool(client, 5.0)
    for number in range(10):
        connection = story.connect(client, f"http://host-{number % 3}.test", pool=pool.id)
        connection.idle_since = story.now
        story.now += 11.0
        story.disconnect(connection, "keepalive_expired")
    assert count("PS107", story) is None


def test_a_server_that_keeps_them_no_longer_than_that() -> None:
    assert count("PS107", polled(5, 6.0, server_keepalive=6.0)) is None
    assert count("PS107", polled(5, 6.0, server_keepalive=6.1)) == 5


@pytest.mark.parametrize(("pause", "all_of_them"), [(9.9, 5), (9.901, None), (9.95, None)])
def test_it_asks_for_less_than_the_server_allows(pause: float, all_of_them: int | None) -> None:
    assert count("PS107", polled(5, pause, server_keepalive=10.0)) == all_of_them


@pytest.mark.parametrize(
    ("pause", "words"), [(0.33, "more than 0.4 s"), (6.41, "more than 6.5 s"), (20.0, "more than 20 s")]
)
def test_what_it_says_is_enough(pause: float, words: str) -> None:
    (finding,) = found("PS107", polled(5, pause, expiry=pause / 2))
    assert words in finding.fix
    assert f"at most {float(words.split()[2]):.1f} s after" in finding.sentence


def test_records_of_connections_that_are_open_at_the_end_count_once() -> None:
    story = polled(MIN_EXPIRED - 1, 6.0)
    story.records.append(story.records[-1])
    assert count("PS107", story) is None


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


def test_a_connection_that_began_before_the_pause_takes_no_other_ones_place() -> None:
    story = Story()
    client = story.client()
    pool = story.pool(client, 5.0)
    began = story.now
    for connection in [story.connect(client, pool=pool.id) for _ in range(5)]:
        story.exchange(client, connection)
        connection.idle_since = story.now
        story.now += 5.0
        story.disconnect(connection, "keepalive_expired")
    for _ in range(5):
        story.connect(client, pool=pool.id, setup_started_at=began)
    assert count("PS107", story) is None

"""PS111: it fires where idle connections are closed as too many while the pool may keep more."""

from __future__ import annotations

from poolscope.findings.early_closes import MIN_EARLY
from tests.findings.rule import count, found
from tests.reports.stories import LINE, Story

KEPT = 10
"""The limits of a story's pool."""


def closed(
    times: int,
    idle_left: int | None,
    reason: str = "max_keepalive_surplus",
    reopened: bool = True,
    *,
    pause: float = 0.0,
    origins: int = 1,
) -> Story:
    story = Story()
    client = story.client()
    pool = story.pool(client, keepalive=30.0)
    for number in range(times):
        connection = story.connect(client, f"http://{number % origins}.test", pool=pool.id)
        story.exchange(client, connection)
        story.disconnect(connection, reason, idle_left=idle_left)
        story.now += pause
    if reopened:
        story.connect(client, "http://0.test", pool=pool.id)
    return story


def test_below_and_at_the_threshold() -> None:
    assert count("PS111", closed(MIN_EARLY - 1, 0)) is None
    assert count("PS111", closed(MIN_EARLY, 0)) == MIN_EARLY


def test_only_while_fewer_are_idle_than_allowed() -> None:
    assert count("PS111", closed(10, KEPT - 1)) == 10
    assert count("PS111", closed(10, KEPT)) is None
    assert count("PS111", closed(10, None)) is None
    assert count("PS111", closed(10, 0, "keepalive_expired")) is None


def test_only_where_others_are_opened_instead() -> None:
    assert count("PS111", closed(MIN_EARLY, 0, reopened=False)) is None


def test_where_the_client_itself_would_not_have_kept_them_so_long() -> None:
    assert count("PS111", closed(10, 0, pause=29.0)) == 10
    assert count("PS111", closed(10, 0, pause=31.0)) is None


def test_it_says_what_to_set() -> None:
    (finding,) = found("PS111", closed(5, 0))
    assert (finding.call_site, finding.severity) == (LINE, "info")
    assert finding.origin == "http://0.test"
    assert "5 connections to http://0.test were closed" in finding.sentence
    assert "fewer than 10 were idle; 5 were opened" in finding.sentence
    assert "max_keepalive_connections" in finding.fix


def test_one_limit_is_one_finding_however_many_hosts_it_is_for() -> None:
    (finding,) = found("PS111", closed(60, 0, origins=25))
    assert (finding.call_site, finding.origin, finding.count) == (LINE, None, 60)
    assert finding.sentence.startswith("60 connections were closed as surplus")
    assert "36 were opened" in finding.sentence


def test_another_host_takes_no_connections_place() -> None:
    assert count("PS111", closed(20, 0, origins=25)) is None

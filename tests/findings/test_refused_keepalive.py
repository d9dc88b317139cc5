"""PS106: it fires where the server closes connections after one answer: by header, by version or silently."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import requests

from poolscope import testing
from poolscope.findings.lives import AT_ONCE
from poolscope.findings.refused_keepalive import MIN_REFUSED, SETTLED, SHARE
from tests.findings.rule import count, found
from tests.reports.stories import LINE, ORIGIN, Story
from tests.servers import Running


def served(
    times: int, reason: str = "connection_close_header", requests: int = 1, idle: float = 0.0, **how: Any
) -> Story:
    story = Story()
    add(story, times, reason, requests, idle, **how)
    return story


def add(story: Story, times: int, reason: str, requests: int = 1, idle: float = 0.0, **how: Any) -> None:
    client = story.client()
    for _ in range(times):
        connection = story.connect(client)
        for _ in range(requests):
            story.exchange(client, connection)
        connection.idle_since = story.now
        story.now += idle
        story.disconnect(connection, reason, **{"closed_by": "server", **how})


def test_below_and_at_the_threshold() -> None:
    assert count("PS106", served(MIN_REFUSED - 1)) is None
    assert count("PS106", served(MIN_REFUSED)) == MIN_REFUSED


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("connection_close_header", "Connection: close"),
        ("http_1_0", "HTTP/1.0"),
        ("server_closed_idle", "without saying"),
    ],
)
def test_it_says_how(reason: str, words: str) -> None:
    (finding,) = found("PS106", served(10, reason))
    assert words in finding.sentence
    assert (finding.origin, finding.call_site) == (ORIGIN, LINE)
    assert finding.cost == pytest.approx(10 * 0.01)


def test_a_close_after_a_while_is_a_timeout() -> None:
    assert count("PS106", served(10, "server_closed_idle", idle=AT_ONCE - 0.01)) == 10
    assert count("PS106", served(10, "server_closed_idle", idle=AT_ONCE + 0.01)) is None


def test_a_close_by_the_client_is_not_a_refusal() -> None:
    assert count("PS106", served(10, "connection_close_header", closed_by="client")) is None
    assert count("PS106", served(10, "client_close", closed_by="client")) is None


def test_connections_that_served_more_were_kept() -> None:
    assert count("PS106", served(10, requests=2)) is None


def test_a_server_that_refuses_now_and_then() -> None:
    story = served(8)
    kept = SETTLED + 0.01
    add(story, 2, "client_close", idle=kept, closed_by="client")
    assert 8 / 10 == SHARE
    assert count("PS106", story) == 8
    add(story, 1, "client_close", idle=kept, closed_by="client")
    assert count("PS106", story) is None


def test_an_immediate_close_by_the_client_proves_nothing() -> None:
    story = served(8)
    add(story, 20, "client_close", idle=SETTLED - 0.01, closed_by="client")
    assert count("PS106", story) == 8


@pytest.mark.parametrize("client", [requests.Session, httpx.Client])
def test_a_client_that_asks_for_the_close_is_not_refused(client: Callable[[], Any], server: Running) -> None:
    with testing.capture() as captured, client() as checker:
        checker.headers["Connection"] = "close"
        for _ in range(MIN_REFUSED + 1):
            checker.get(server.url("/fixed/healthz"), timeout=5)
            server.settled(lambda log: log.open == 0)
    assert {(one.close_reason, one.closed_by) for one in captured.connections} == {
        ("connection_close_header", "client")
    }
    assert "PS106" not in {finding.code for finding in captured.findings}

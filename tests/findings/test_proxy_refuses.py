"""PS112: it fires where a forwarding proxy closes connections after one answer; PS106 does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import requests

from poolscope import testing
from poolscope.findings.refused_keepalive import MIN_REFUSED
from tests.findings.rule import count, found
from tests.reports.stories import LINE, Story
from tests.servers import Running, ServerConfig, in_thread


def through(via: str, times: int, reason: str = "connection_close_header") -> Story:
    story = Story()
    client = story.client()
    for _ in range(times):
        connection = story.connect(client, via=via, peer_address="10.0.0.8", peer_port=3128)
        story.exchange(client, connection)
        connection.idle_since = story.now
        story.disconnect(connection, reason, closed_by="server")
    return story


def test_below_and_at_the_threshold() -> None:
    assert count("PS112", through("forward", MIN_REFUSED - 1)) is None
    assert count("PS112", through("forward", MIN_REFUSED)) == MIN_REFUSED


@pytest.mark.parametrize(("via", "code"), [("forward", "PS112"), ("tunnel", "PS106"), ("direct", "PS106")])
def test_only_a_proxy_at_the_other_end_counts(via: str, code: str) -> None:
    story = through(via, 10)
    assert [each for each in ("PS106", "PS112") if count(each, story)] == [code]


def test_it_names_the_proxy() -> None:
    (finding,) = found("PS112", through("forward", 10))
    assert finding.sentence.startswith("The proxy at 10.0.0.8:3128 answered with Connection: close")
    assert (finding.severity, finding.call_site) == ("info", LINE)
    assert finding.cost == pytest.approx(10 * 0.01)


def by_requests(proxy: str, url: str) -> None:
    with requests.Session() as session:
        session.proxies = {"http": proxy}
        session.trust_env = False
        for _ in range(6):
            session.get(url, timeout=5)


def by_httpx(proxy: str, url: str) -> None:
    with httpx.Client(proxy=proxy, verify=False) as client:
        for _ in range(6):
            client.get(url)


@pytest.mark.parametrize("program", [by_requests, by_httpx])
def test_a_proxy_that_closes_and_a_proxy_that_does_not(
    server: Running, program: Callable[[str, str], Any]
) -> None:
    for close_after, expected in ((1, ["PS112"]), (None, [])):
        with (
            in_thread(ServerConfig("proxy", close_after=close_after)) as proxy,
            testing.capture() as captured,
        ):
            program(proxy.origin, server.origin)
        assert [finding.code for finding in captured.findings] == expected

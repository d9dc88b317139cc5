"""PS127: it fires where the program's own requests ask for the close."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from poolscope import testing
from poolscope.findings.closes_on_request import MIN_ASKED, SHARE
from tests.findings.rule import count, found
from tests.reports.stories import LINE, ORIGIN, Story
from tests.servers import Running


def add(
    story: Story, times: int, reason: str = "connection_close_header", by: str = "client", requests: int = 1
) -> Story:
    client = story.client()
    for _ in range(times):
        connection = story.connect(client)
        for _ in range(requests):
            story.exchange(client, connection)
        story.disconnect(connection, reason, closed_by=by)
    return story


def test_below_and_at_the_threshold() -> None:
    assert count("PS127", add(Story(), MIN_ASKED - 1)) is None
    (finding,) = found("PS127", add(Story(), MIN_ASKED))
    assert (finding.count, finding.severity, finding.origin) == (MIN_ASKED, "info", ORIGIN)
    assert finding.call_site == LINE
    assert finding.cost == pytest.approx(MIN_ASKED * 0.01)


@pytest.mark.parametrize(
    ("reason", "by"),
    [("connection_close_header", "server"), ("http_1_0", "server"), ("client_close", "client")],
)
def test_other_closes(reason: str, by: str) -> None:
    assert count("PS127", add(Story(), 10, reason, by)) is None


def test_a_client_that_asks_for_it_now_and_then() -> None:
    story = add(add(Story(), 8), 2, "client_close")
    assert 8 / 10 == SHARE
    assert count("PS127", story) == 8
    assert count("PS127", add(story, 1, "client_close")) is None


def test_a_connection_that_was_used_before() -> None:
    assert count("PS127", add(Story(), 10, requests=2)) is None


def test_aiohttps_setting_is_named(server: Running) -> None:
    async def main() -> None:
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            for _ in range(MIN_ASKED):
                async with session.get(server.url("/fixed")) as response:
                    await response.read()

    with testing.capture() as captured:
        asyncio.run(main())
    (finding,) = captured.findings
    assert (finding.code, finding.count) == ("PS127", MIN_ASKED)
    assert "force_close" in finding.fix

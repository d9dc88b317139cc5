"""PS125: it fires where very many requests queue in one pool of httpx at once."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from poolscope import testing
from poolscope.findings.burst import MIN_BURST, MIN_QUEUED
from tests.findings.rule import count, found
from tests.reports.stories import LINE, Story
from tests.servers import in_thread


def burst(
    at_once: int, connections: int = MIN_BURST - MIN_QUEUED, kind: str = "httpx.AsyncClient", **how: Any
) -> Story:
    story = Story()
    client = story.client(kind)
    pool = story.pool(client)
    connection = story.connect(client, pool=pool.id)
    for number in range(1, at_once + 1):
        known = {"loop": 1, "pool_wait": 0.1 if number > connections else 0.0, "pool": pool.id, **how}
        story.exchange(client, connection, in_flight=number, **known)
    return story


def test_below_and_at_the_threshold() -> None:
    assert count("PS125", burst(MIN_BURST - 1)) is None
    assert count("PS125", burst(MIN_BURST)) == MIN_QUEUED
    assert count("PS125", burst(MIN_BURST, connections=MIN_BURST - MIN_QUEUED + 1)) is None


def test_it_says_how_many() -> None:
    (finding,) = found("PS125", burst(1_000))
    assert (finding.call_site, finding.severity, finding.cost) == (LINE, "warning", None)
    assert "Up to 1,000 requests" in finding.sentence
    assert "Semaphore" in finding.fix


def test_others_do_not_search() -> None:
    assert count("PS125", burst(1_000, kind="httpx2.AsyncClient")) is None
    assert count("PS125", burst(1_000, loop=None)) is None


def test_many_clients_at_once_are_no_burst_on_one() -> None:
    assert count("PS125", burst(1_000, pool_wait=0.0)) is None


@pytest.mark.load
@pytest.mark.parametrize(("at_once", "fires"), [(MIN_BURST, True), (50, False)])
def test_a_real_burst(at_once: int, fires: bool) -> None:
    async def main() -> None:
        places = asyncio.Semaphore(at_once)

        async def one() -> None:
            async with places:
                await client.get(server.url("/"))

        async with httpx.AsyncClient(verify=False, timeout=60) as client:
            await asyncio.gather(*(one() for _ in range(MIN_BURST)))

    with in_thread() as server, testing.capture() as captured:
        asyncio.run(main())
    assert ("PS125" in {finding.code for finding in captured.findings}) is fires
    assert all(finding.code in ("PS105", "PS111", "PS125", "PS126") for finding in captured.findings)

"""HTTP/2: how many streams are open, how many the connection serves at once, and which requests wait for a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from poolscope.story.live import LIVE
from tests.servers import Running, ServerConfig, in_thread
from tests.servers.certificates import Certificates

ALLOWED = 2


@pytest.fixture
def http2(certificates: Certificates) -> Iterator[Running]:
    with in_thread(ServerConfig("http2", certificate=certificates.server, streams=ALLOWED)) as running:
        yield running


def streams(telemetry: Any, port: int) -> dict[str, float]:
    """The newest value of each metric of streams and waits, for the server at ``port``."""
    names = ("poolscope.streams.count", "poolscope.streams.max", "poolscope.pool.pending_requests")
    return {
        name.rpartition(".")[2]: point.value
        for name in names
        for point in telemetry.points(name)
        if point.attributes["server.port"] == port
    }


async def _until(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never got this far")


def test_a_full_connection_shows_its_limit_and_who_waits(
    telemetry, http2: Running, certificates: Certificates
) -> None:
    seen: list[dict[str, float]] = []

    async def main() -> None:
        async with httpx.AsyncClient(http2=True, verify=certificates.trusting(), trust_env=False) as client:
            await client.get(http2.url("/fixed/1"))
            seen.append(streams(telemetry, http2.port))
            async with AsyncExitStack() as held:
                for number in range(ALLOWED):
                    await held.enter_async_context(client.stream("GET", http2.url(f"/open/{number}")))
                waiting = asyncio.create_task(client.get(http2.url("/fixed/2")))
                await _until(lambda: [x.queued for x in LIVE.exchanges.values()].count(True) == 1)
                seen.append(streams(telemetry, http2.port))
            await waiting

    with telemetry.instrumented():
        asyncio.run(main())
        seen.append(streams(telemetry, http2.port))
    assert seen == [
        {"count": 0, "max": ALLOWED, "pending_requests": 0},
        {"count": ALLOWED, "max": ALLOWED, "pending_requests": 1},
        {"count": 0, "max": 0, "pending_requests": 0},
    ]
    limits = {
        span.attributes["url.full"].rpartition("/")[2]: span.attributes.get(
            "poolscope.connection.max_streams"
        )
        for span in telemetry.requests
        if "/fixed/" in span.attributes["url.full"]
    }
    # It opened the connection, and waited for a stream.
    assert limits == {"1": ALLOWED, "2": ALLOWED}
    assert telemetry.total("poolscope.pool.wait_time", network__protocol__version="2") == 1
    (span,) = telemetry.named("HTTP wait_for_connection")
    (queue,) = telemetry.points("poolscope.pool.wait_time")
    assert (
        span.attributes["poolscope.pool.waited_for"]
        == queue.attributes["poolscope.pool.waited_for"]
        == "stream"
    )


def test_http1_has_no_streams(telemetry, server) -> None:
    with telemetry.instrumented(), httpx.Client(trust_env=False) as client:
        client.get(server.url("/a"))
        assert not telemetry.points("poolscope.streams.count") and not telemetry.points(
            "poolscope.streams.max"
        )
        assert telemetry.points("http.client.open_connections")
    assert "poolscope.connection.max_streams" not in telemetry.requests[0].attributes

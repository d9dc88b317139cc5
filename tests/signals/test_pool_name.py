"""A pool with a name is distinguished in spans and metrics, whatever the library and the door."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import httpx
import pytest
import requests
import urllib3

import poolscope
from poolscope.instrumentor import INSTRUMENTOR
from poolscope.queue import FACTS
from poolscope.story import pool as pools
from poolscope.story.live import LIVE
from tests.signals.telemetry import Telemetry

NAME = {"poolscope.pool.name": "billing"}


@pytest.fixture(autouse=True)
def silent_again() -> Iterator[None]:
    """Ways in that keep the hooks installed without `instrument()`."""
    yield
    poolscope.uninstrument()
    poolscope.uninstrument()


def httpx_traced(url: str) -> None:
    with poolscope.trace(httpx.Client(trust_env=False), pool_name="billing") as client:
        client.get(url)


def httpx_transport(url: str) -> None:
    with httpx.Client(transport=poolscope.HTTPTransport(pool_name="billing")) as client:
        client.get(url)


def httpx_async_transport(url: str) -> None:
    async def main() -> None:
        transport = poolscope.AsyncHTTPTransport(pool_name="billing")
        async with httpx.AsyncClient(transport=transport) as client:
            await client.get(url)

    asyncio.run(main())


def requests_traced(url: str) -> None:
    with poolscope.trace(requests.Session(), pool_name="billing") as session:
        session.get(url)


def requests_adapter(url: str) -> None:
    with requests.Session() as session:
        session.mount("http://", poolscope.HTTPAdapter(pool_name="billing"))
        session.get(url)


def urllib3_traced(url: str) -> None:
    with poolscope.trace(urllib3.PoolManager(), pool_name="billing") as manager:
        manager.request("GET", url)


def aiohttp_traced(url: str) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            async with poolscope.trace(session, pool_name="billing").get(url) as answer:
                await answer.read()

    asyncio.run(main())


def named_after_its_first_request(url: str) -> None:
    with httpx.Client(trust_env=False) as client:
        poolscope.trace(client).get(url)
        poolscope.trace(client, pool_name="billing").get(url)


def requests_named_after_its_first_request(url: str) -> None:
    with requests.Session() as session:
        session.get(url)
        poolscope.trace(session, pool_name="billing").get(url)


DOORS = [
    httpx_traced, httpx_transport, httpx_async_transport, requests_traced, requests_adapter, urllib3_traced, aiohttp_traced,
    named_after_its_first_request, requests_named_after_its_first_request,
]  # fmt: skip


@pytest.mark.parametrize("ask", DOORS, ids=lambda ask: ask.__name__)
def test_the_spans_of_its_requests_have_the_name(ask: Any, telemetry: Telemetry, server: Any) -> None:
    with telemetry.instrumented():
        ask(server.url("/a"))
        with requests.Session() as other:
            other.get(server.url("/b"))
    named = [span.attributes.get("poolscope.pool.name") for span in telemetry.requests]  # type: ignore[union-attr]
    assert named == [*[None] * (len(named) - 2), "billing", None]


def test_a_full_pool_is_seen_by_its_name(telemetry: Telemetry, server: Any) -> None:
    """Two clients of one kind, to one server: only the full pool's metrics show that it is full."""
    tight = httpx.Limits(max_connections=1)
    with (
        telemetry.instrumented(),
        httpx.Client(trust_env=False) as wide,
        poolscope.trace(httpx.Client(trust_env=False, limits=tight), pool_name="billing") as full,
        ThreadPoolExecutor(1) as pool,
    ):
        wide.get(server.url("/a"))
        with full.stream("GET", server.url("/b")):
            assert (
                telemetry.total("poolscope.pool.connections.max", **{"poolscope.pool.name": "billing"}) == 1
            )
            assert telemetry.total("poolscope.pool.connections.max", **{"poolscope.pool.name": None}) == 100
            with pytest.raises(httpx.PoolTimeout):
                full.get(server.url("/c"), timeout=httpx.Timeout(5, pool=0.01))
            late = pool.submit(full.get, server.url("/d"))
            while not telemetry.total("poolscope.pool.pending_requests", **NAME):
                assert not late.done()
        late.result(10)
        timeouts = {
            point.attributes.get("poolscope.pool.name"): point.value
            for point in telemetry.points("poolscope.pool.timeouts")
        }
        assert timeouts == {None: 0, "billing": 1}
        assert telemetry.total("poolscope.pool.wait_time", **NAME) == 2
    waits = telemetry.named("HTTP wait_for_connection")
    assert [span.attributes["poolscope.pool.name"] for span in waits] == ["billing", "billing"]  # type: ignore[index]


@pytest.mark.parametrize(("wrong", "error"), [("", ValueError), ("a\nb", ValueError), (7, TypeError)])
def test_a_wrong_name_is_refused_where_it_is_given(wrong: Any, error: type[Exception]) -> None:
    for give in (
        lambda: poolscope.trace(requests.Session(), pool_name=wrong),
        lambda: poolscope.HTTPTransport(pool_name=wrong),
        lambda: poolscope.HTTPAdapter(pool_name=wrong),
    ):
        with pytest.raises(error, match="pool_name is"):
            give()


def test_the_101st_name_is_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_NAMES", {})
    names = [pools.name_for(f"tenant {number}") for number in range(pools.MOST_NAMES + 5)]
    assert names[:-5] == [f"tenant {number}" for number in range(pools.MOST_NAMES)]
    assert names[-5:] == ["other"] * 5
    assert pools.name_for("tenant 7") == "tenant 7"


def test_a_pickled_adapter_keeps_its_name() -> None:
    adapter = pickle.loads(pickle.dumps(poolscope.HTTPAdapter(3, pool_name="billing")))
    assert (adapter.pool_name, adapter._pool_connections) == ("billing", 3)


@pytest.mark.parametrize("build", [requests.Session, httpx.Client, urllib3.PoolManager])
def test_a_client_that_other_threads_use_at_that_moment(
    build: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hooks see the request of another thread before `trace` has returned."""
    usual = INSTRUMENTOR.observe_some
    client = build()

    def requests_meanwhile(*packages: str) -> None:
        usual(*packages)
        client.request("GET", server.url("/a"))

    monkeypatch.setattr(INSTRUMENTOR, "observe_some", requests_meanwhile)
    poolscope.trace(client, pool_name="billing")
    client.request("GET", server.url("/b"))
    FACTS.settle()
    assert [pool.name for pool in LIVE.pools.values()] == ["billing"]
    assert [known.kind for known in LIVE.clients.values()] == [
        f"{build.__module__.partition('.')[0]}.{build.__name__}"
    ]
    (client.clear if build is urllib3.PoolManager else client.close)()

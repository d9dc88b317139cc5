"""Behind a proxy, the origin is the request's, and the name that was looked up is the proxy's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import httpx
import pytest
import requests

from tests.servers import Running, ServerConfig, in_thread


@pytest.fixture(params=["proxy", "socks"])
def proxy(request: pytest.FixtureRequest) -> Iterator[str]:
    with in_thread(ServerConfig(request.param)) as running:
        scheme = "http" if request.param == "proxy" else "socks5"
        yield f"{scheme}://localhost:{running.port}"


@pytest.fixture
def origin() -> Iterator[Running]:
    with in_thread() as running:
        yield running


def with_requests(url: str, proxy: str) -> int:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, proxies={"http": proxy}).status_code


def with_httpx(url: str, proxy: str) -> int:
    with httpx.Client(proxy=proxy, trust_env=False) as client:
        return client.get(url).status_code


def with_async_httpx(url: str, proxy: str) -> int:
    async def fetch() -> int:
        async with httpx.AsyncClient(proxy=proxy, trust_env=False) as client:
            return (await client.get(url)).status_code

    return asyncio.run(fetch())


@pytest.mark.parametrize("fetch", [with_requests, with_httpx, with_async_httpx])
def test_the_name_is_the_proxys(
    telemetry, proxy: str, origin: Running, fetch: Callable[[str, str], int]
) -> None:
    with telemetry.instrumented():
        assert fetch(origin.url("/fixed/4"), proxy) == 200
        assert {
            (point.attributes["dns.question.name"], point.count)
            for point in telemetry.points("dns.lookup.duration")
        } == {("localhost", 1)}
        assert telemetry.total("poolscope.connections.opened") == 1
    (lookup,) = telemetry.named("DNS lookup")
    assert lookup.attributes["dns.question.name"] == "localhost"
    (setup,) = telemetry.named("HTTP connection_setup")
    (request,) = telemetry.requests
    for span in (request, setup):
        assert (span.attributes["server.address"], span.attributes["server.port"]) == (
            "127.0.0.1",
            origin.port,
        )
        assert span.attributes["network.peer.port"] == int(proxy.rpartition(":")[2])
    assert lookup.parent == setup.context

"""Behind a proxy, the origin is the request's; the name looked up, the first handshake and what refuses are the proxy's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import httpx
import pytest
import requests

from stack.running import free_port as closed_port
from tests.servers import Certificates, Running, Scripted, ServerConfig, in_thread, scripted
from tests.truth import setup_failures as ways


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


def by_requests(url: str, proxy: str, trusting: Certificates | None) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.get(
            url,
            proxies={"http": proxy, "https": proxy},
            verify=None if trusting is None else trusting.authority,
        )


def by_httpx(url: str, proxy: str, trusting: Certificates | None) -> None:
    with httpx.Client(**_httpx_options(proxy, trusting)) as client:
        client.get(url)


def by_async_httpx(url: str, proxy: str, trusting: Certificates | None) -> None:
    async def fetch() -> None:
        async with httpx.AsyncClient(**_httpx_options(proxy, trusting)) as client:
            await client.get(url)

    asyncio.run(fetch())


def by_aiohttp(url: str, proxy: str, trusting: Certificates | None) -> None:
    async def fetch() -> None:
        async with aiohttp.ClientSession() as session:
            context = True if trusting is None else trusting.trusting()
            async with session.get(url, proxy=proxy, ssl=context) as answer:
                await answer.read()

    asyncio.run(fetch())


def _httpx_options(proxy: str, trusting: Certificates | None) -> dict[str, Any]:
    context = None if trusting is None else trusting.trusting()
    return {
        "proxy": httpx.Proxy(proxy, ssl_context=context),
        "verify": context or False,
        "trust_env": False,
    }


ALL = [by_requests, by_httpx, by_async_httpx, by_aiohttp]


@pytest.mark.parametrize("fetch", ALL)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_is_named(telemetry, fetch: Callable[..., None], scheme: str) -> None:
    port = closed_port()
    with telemetry.instrumented(), pytest.raises(Exception, match=r"refused|Cannot connect|attempts failed"):
        fetch(f"{scheme}://origin.test/secret", f"http://127.0.0.1:{port}", None)
    what = "connection refused [ECONNREFUSED]"
    assert {span.name: span.status.description for span in telemetry.spans} == {
        "GET": f"{what} (proxy 127.0.0.1:{port})",
        "HTTP connection_setup": f"{what} (proxy 127.0.0.1:{port}, in connect)",
        "socket connect": f"{what} (proxy 127.0.0.1:{port}, in connect)",
    }
    (event,) = telemetry.events("poolscope.connection.setup_failed")
    assert event.body.endswith(f": {what} (proxy 127.0.0.1:{port}, in connect)")
    assert telemetry.requests[0].attributes["server.address"] == "origin.test"


@pytest.mark.parametrize("fetch", ALL)
def test_a_proxy_that_is_not_found_is_named(
    telemetry, fetch: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ways.names_of_our_own(monkeypatch), telemetry.instrumented():
        with pytest.raises(Exception, match=r"resolve|not known|Cannot connect"):
            fetch("https://here.test/secret", "http://nowhere.test:3128", None)
    descriptions = {span.status.description for span in telemetry.spans}
    assert {each.partition("(")[2] for each in descriptions} == {
        "proxy nowhere.test)", "proxy nowhere.test, in dns)",
    }  # fmt: skip


@pytest.mark.parametrize("fetch", ALL)
def test_the_first_handshake_is_the_proxys(
    telemetry, fetch: Callable[..., None], certificates: Certificates
) -> None:
    with (
        in_thread(ServerConfig(certificate=certificates.server)) as origin,
        in_thread(ServerConfig("proxy", certificate=certificates.server)) as proxy,
        telemetry.instrumented(),
    ):
        fetch(f"https://localhost:{origin.port}/fixed/1", f"https://127.0.0.1:{proxy.port}", certificates)
    handshakes = telemetry.named("TLS client handshake")
    assert [span.attributes["server.address"] for span in handshakes] == ["127.0.0.1", "localhost"]


def test_a_socks4_proxy_that_answered_is_not_the_peer_that_nobody_reached(telemetry) -> None:
    def script(server: Scripted) -> None:
        with server.accept() as peer:
            peer.sock.recv(1_000)
            peer.send(b"\0\x5b" + bytes(6))

    with scripted(script) as proxy, telemetry.instrumented(), pytest.raises(requests.ConnectionError):
        requests.get("http://192.0.2.7:81/", proxies={"http": f"socks4://127.0.0.1:{proxy.port}"}, timeout=5)
    assert telemetry.requests[0].status.description == "the proxy made no connection (192.0.2.7:81)"
    (negotiation,) = telemetry.named("HTTP proxy_tunnel")
    assert negotiation.status.description == "the proxy made no connection (192.0.2.7:81, in proxy_tunnel)"

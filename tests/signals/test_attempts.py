"""Every address tried has a span with the address, and whether it answered."""

from __future__ import annotations

import asyncio
import importlib
import socket
from typing import Any

import pytest

from stack.running import free_port as closed_port

DEAD, ALIVE = "127.0.0.2", "127.0.0.1"
NAME = "several.test"


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with two addresses, of which the first refuses."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in (NAME, NAME.encode()):
            return real(host, port, *args, **kwargs)
        return [answer for address in (DEAD, ALIVE) for answer in real(address, port, 0, socket.SOCK_STREAM)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def by_requests(url: str) -> None:
    importlib.import_module("requests").get(url, timeout=5)


def by_urllib3(url: str) -> None:
    urllib3 = importlib.import_module("urllib3")
    with urllib3.PoolManager() as pool:
        pool.request("GET", url, retries=False)


def by_aiohttp(url: str) -> None:
    aiohttp = importlib.import_module("aiohttp")

    async def main() -> None:
        connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
        async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as answer:
            await answer.read()

    asyncio.run(main())


def by_httpx(url: str) -> None:
    importlib.import_module("httpx").get(url)


def by_httpx_on_asyncio(url: str) -> None:
    asyncio.run(_by_httpx(url))


def by_httpx_on_trio(url: str) -> None:
    importlib.import_module("trio").run(_by_httpx, url)


async def _by_httpx(url: str) -> None:
    async with importlib.import_module("httpx").AsyncClient() as client:
        await client.get(url)


ALL = [by_requests, by_urllib3, by_aiohttp, by_httpx, by_httpx_on_asyncio]
SIDE_BY_SIDE = [by_aiohttp, by_httpx_on_asyncio]


def addresses(spans: list[Any]) -> list[Any]:
    return [span.attributes.get("network.peer.address") for span in spans]


@pytest.mark.parametrize("get", ALL)
def test_an_address_that_refused_before_another_answered(get, telemetry, server, several) -> None:
    with telemetry.instrumented():
        get(f"http://{NAME}:{server.port}/a")
    tried = telemetry.named("socket connect")
    (dns,) = telemetry.named("DNS lookup")
    (setup,) = telemetry.named("HTTP connection_setup")
    assert dns.attributes["dns.answers"] == (DEAD, ALIVE)
    assert addresses(tried) == [DEAD, ALIVE]
    assert [span.attributes["network.peer.port"] for span in tried] == [server.port] * 2
    assert [span.status.status_code.name for span in tried] == ["ERROR", "UNSET"]
    # A library that tries one after the other forgets the first one's error before anybody can read it.
    assert tried[0].attributes["error.type"] == ("connection_refused" if get in SIDE_BY_SIDE else "_OTHER")
    assert "error.type" not in setup.attributes
    assert {span.parent.span_id for span in tried} == {setup.context.span_id}
    assert setup.start_time <= tried[0].start_time <= tried[0].end_time <= tried[1].end_time <= setup.end_time


@pytest.mark.parametrize("get", ALL)
def test_every_address_that_refused(get, telemetry, several) -> None:
    port = closed_port()
    with telemetry.instrumented(), pytest.raises(Exception, match=r"refused|Cannot connect|attempts failed"):
        get(f"http://{NAME}:{port}/a")
    tried = telemetry.named("socket connect")
    again = [ALIVE] if get is by_aiohttp else []  # it starts again without the first address
    assert addresses(tried) == [DEAD, ALIVE, *again]
    assert tried[-1].attributes["error.type"] == "connection_refused"


def test_on_trio_only_the_address_that_answered_is_known(telemetry, server, several) -> None:
    with telemetry.instrumented():
        by_httpx_on_trio(f"http://{NAME}:{server.port}/a")
    (dns,) = telemetry.named("DNS lookup")
    assert dns.attributes["dns.answers"] == (DEAD, ALIVE)
    assert addresses(telemetry.named("socket connect")) == [ALIVE]


def test_on_trio_no_refusing_address_is_guessed(telemetry, several) -> None:
    with telemetry.instrumented(), pytest.raises(Exception, match="attempts"):
        by_httpx_on_trio(f"http://{NAME}:{closed_port()}/a")
    assert addresses(telemetry.named("socket connect")) == [None]


def test_each_retry_of_httpcore_has_a_span(telemetry) -> None:
    httpx = importlib.import_module("httpx")
    port = closed_port()
    with telemetry.instrumented(), httpx.Client(transport=httpx.HTTPTransport(retries=1)) as client:
        with pytest.raises(httpx.ConnectError):
            client.get(f"http://127.0.0.1:{port}/")
    tried = telemetry.named("socket connect")
    assert addresses(tried) == [ALIVE] * 2
    assert {span.attributes["error.type"] for span in tried} == {"connection_refused"}
    assert {span.status.description for span in tried} == {
        f"connection refused [ECONNREFUSED] (127.0.0.1:{port}, in connect)"
    }

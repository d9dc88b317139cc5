"""Programs after public reports: what poolscope says of each, and that it is silent about the fixed version."""

from __future__ import annotations

import asyncio
import importlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import urllib3.connection
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection

import poolscope
from poolscope import testing
from poolscope.findings.pool_exhausted import LONG
from tests.servers import Certificates, Running, ServerConfig, in_thread


def posts(url: str, path: str, timeout: float) -> None:
    """psf/requests#5228: timeouts make the number of connections grow past ``pool_maxsize``."""

    def post(_: int) -> None:
        with suppress(requests.Timeout):
            session.post(f"{url}{path}", data=b"x", timeout=timeout)  # the line

    with requests.Session() as session, ThreadPoolExecutor(4) as threads:
        session.mount("http://", HTTPAdapter(pool_maxsize=2))
        for _ in range(3):
            list(threads.map(post, range(2)))


def test_timeouts_that_throw_connections_away(server: Running) -> None:
    with testing.capture() as captured:
        posts(server.url("/"), "silence", 0.1)
    (finding,) = captured.findings
    assert (finding.code, finding.count) == ("PS121", 6)
    assert finding.call_site is not None
    assert finding.call_site.function == "posts.<locals>.post"
    assert "6 by a timeout" in finding.sentence
    with testing.capture() as captured:
        posts(server.url("/"), "slow/250/x", 30.0)
    assert captured.findings == []


STREAMS = 4


async def opens_streams(url: str, trust: Any, reads: bool) -> None:
    """headroomlabs-ai/headroom#2882: HTTP/2 streams that are never read, until there are no more."""

    async def open_stream(client: httpx.AsyncClient, number: int) -> None:
        request = client.build_request("POST", f"{url}v1/messages/{number}")
        response = await client.send(request, stream=True)  # the line
        if reads:
            await response.aread()
        kept.append(response)

    kept: list[httpx.Response] = []
    async with httpx.AsyncClient(http2=True, verify=trust, timeout=30) as client:
        for number in range(STREAMS):
            await open_stream(client, number)
        more = [asyncio.create_task(open_stream(client, number)) for number in range(3)]
        while not reads and len(poolscope.snapshot().waiters) < len(more):
            await asyncio.sleep(0.01)
        await asyncio.wait(more, timeout=30 if reads else 1.1 * LONG)
        for waiting in more:
            waiting.cancel()
        await asyncio.gather(*more, return_exceptions=True)


def test_streams_that_are_never_read(certificates: Certificates) -> None:
    config = ServerConfig("http2", certificate=certificates.server, streams=STREAMS)
    with in_thread(config) as server:
        with testing.capture() as captured:
            asyncio.run(opens_streams(server.url("/"), certificates.trusting(), reads=False))
        (finding,) = [found for found in captured.findings if found.code == "PS105"]
        assert finding.severity == "warning"
        assert f"all {STREAMS} streams of the HTTP/2 connection were taken" in finding.sentence
        assert "its response open, not read to the end" in finding.sentence
        assert finding.call_site is not None
        assert finding.call_site.function == "opens_streams.<locals>.open_stream"
        opened = [each for each in captured.exchanges if each.connection is not None]
        assert (len(opened), len(captured.connections)) == (STREAMS, 1)
        with testing.capture() as captured:
            asyncio.run(opens_streams(server.url("/"), certificates.trusting(), reads=True))
    assert [found.code for found in captured.findings] == []
    assert len(captured.exchanges) == STREAMS + 3


class UnixConnection(HTTPConnection):
    """As docker's package does it."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class UnixPool(urllib3.HTTPConnectionPool):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", maxsize=10)
        self.path = path

    def _new_conn(self) -> Any:
        return UnixConnection(self.path)


class UnixAdapter(HTTPAdapter):
    def __init__(self, path: str) -> None:
        self.pool = UnixPool(path)
        super().__init__()

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> Any:
        return self.pool

    def request_url(self, request: Any, proxies: Any) -> str:
        return str(request.path_url)

    def close(self) -> None:
        self.pool.close()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "d.sock")
    with in_thread(ServerConfig(uds=path)):
        yield path


def test_streams_of_events_over_a_unix_socket(daemon: str) -> None:
    with testing.capture() as captured, requests.Session() as session:
        session.mount("unix://", UnixAdapter(daemon))
        session.get("unix://localhost/version")
        events = [
            session.get("unix://localhost/size/400000/events", stream=True) for _ in range(4)
        ]  # the line
        captured.settle()
        assert (len(captured.connections), len(captured.exchanges)) == (4, 1)
        assert {(each.via, each.peer_address) for each in captured.connections} == {("uds", daemon)}
        assert all(each.setup["total"].duration > 0.0 for each in captured.connections)
    (finding,) = captured.findings
    assert (finding.code, finding.count) == ("PS103", 4)
    for response in events:
        response.close()
    with testing.capture() as captured, requests.Session() as session:
        session.mount("unix://", UnixAdapter(daemon))
        for _ in range(4):
            with session.get("unix://localhost/size/400000/events", stream=True) as response:
                assert response.content
    assert captured.findings == []


@pytest.mark.sdks
@pytest.mark.filterwarnings("default")
def test_dockers_own_streams_of_events(daemon: str) -> None:
    docker = importlib.import_module("docker")
    with testing.capture() as captured:
        api = docker.APIClient(base_url=f"unix://{daemon}", version="1.41")
        kept = [api.get(api._url("/size/400000/events"), stream=True) for _ in range(4)]
    (finding,) = captured.findings
    assert (finding.code, finding.count) == ("PS103", 4)
    assert finding.call_site is not None
    assert finding.call_site.file == __file__
    assert (len(captured.connections), len(kept)) == (4, 4)

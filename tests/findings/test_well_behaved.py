"""Programs that do nothing wrong: no warning for any of them, and no untrue information."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from poolscope import testing
from poolscope.findings.pool_exhausted import LONG, MIN_WAITED
from poolscope.findings.stale_connection import MIN_IDLE
from tests.servers import Running, ServerConfig, in_thread

Program = Callable[[str], Any]
PROGRAMS: list[Program] = []


def well_behaved(program: Program) -> Program:
    PROGRAMS.append(program)
    return program


@well_behaved
def one_call(url: str) -> None:
    requests.get(url, timeout=5)


@well_behaved
def two_calls(url: str) -> None:
    httpx.get(url)
    httpx.get(url)


@well_behaved
def a_session_for_all(url: str) -> None:
    with requests.Session() as session:
        for number in range(50):
            session.get(f"{url}{number}", timeout=5)


@well_behaved
def a_client_for_all(url: str) -> None:
    with httpx.Client() as client:
        for number in range(50):
            client.get(f"{url}{number}")


@well_behaved
def a_manager_for_all(url: str) -> None:
    with urllib3.PoolManager() as manager:
        for number in range(50):
            manager.request("GET", f"{url}{number}")


@well_behaved
def threads_on_one_session(url: str) -> None:
    with requests.Session() as session, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: session.get(f"{url}slow/10/{number}", timeout=5), range(64)))


@well_behaved
def a_large_pool_under_load(url: str) -> None:
    with requests.Session() as session, ThreadPoolExecutor(20) as threads:
        session.mount("http://", HTTPAdapter(pool_maxsize=20))
        list(threads.map(lambda number: session.get(f"{url}slow/10/{number}", timeout=5), range(100)))


@well_behaved
def threads_that_wait_for_a_small_pool(url: str) -> None:
    with requests.Session() as session, ThreadPoolExecutor(8) as threads:
        session.mount("http://", HTTPAdapter(pool_maxsize=2, pool_block=True))
        list(threads.map(lambda number: session.get(f"{url}slow/10/{number}", timeout=5), range(32)))


@well_behaved
def one_burst(url: str) -> None:
    def one(_: int) -> None:
        session.get(f"{url}together/30/x", timeout=30)

    with requests.Session() as session, ThreadPoolExecutor(30) as threads:
        list(threads.map(one, range(30)))


@well_behaved
def a_session_per_thread(url: str) -> None:
    local = threading.local()

    def one(number: int) -> None:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        local.session.get(f"{url}{number}", timeout=5)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(one, range(100)))


def asynchronous(program: Callable[[str], Any]) -> Program:
    def run(url: str) -> None:
        asyncio.run(program(url))

    run.__name__ = program.__name__
    return well_behaved(run)


@asynchronous
async def tasks_on_one_client(url: str) -> None:
    async with httpx.AsyncClient() as client:
        await asyncio.gather(*(client.get(f"{url}slow/10/{number}") for number in range(50)))


@asynchronous
async def tasks_with_a_semaphore(url: str) -> None:
    slots = asyncio.Semaphore(4)

    async def one(number: int) -> None:
        async with slots:
            await client.get(f"{url}slow/5/{number}")

    async with httpx.AsyncClient() as client:
        await asyncio.gather(*(one(number) for number in range(40)))


@asynchronous
async def one_given_up(url: str) -> None:
    async with httpx.AsyncClient() as client:
        for _ in range(20):
            await client.get(url)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(client.get(f"{url}slow/500/x"), 0.1)


@asynchronous
async def a_stream_read_line_by_line(url: str) -> None:
    async with httpx.AsyncClient() as client:
        for _ in range(5):
            async with client.stream("GET", f"{url}chunked/x") as response:
                async for _ in response.aiter_lines():
                    pass


@well_behaved
def a_client_per_event_loop(url: str) -> None:
    async def main() -> None:
        async with httpx.AsyncClient() as client:
            await asyncio.gather(*(client.get(url) for _ in range(3)))

    for _ in range(4):
        asyncio.run(main())


@well_behaved
def a_client_per_tenant(url: str) -> None:
    clients = {name: httpx.Client(headers={"X-Tenant": name}) for name in ("a", "b", "c", "d")}
    for _ in range(10):
        for client in clients.values():
            client.get(url)
    for client in clients.values():
        client.close()


@well_behaved
def a_client_per_job_that_works_long(url: str) -> None:
    for _ in range(4):
        with requests.Session() as session:
            for number in range(40):
                session.get(f"{url}{number}", timeout=5)


@well_behaved
def a_rotated_client(url: str) -> None:
    client = httpx.Client()
    for number in range(200):
        if number % 50 == 49:
            client.close()
            client = httpx.Client()
        client.get(url)
    client.close()


@well_behaved
def rotated_user_agents(url: str) -> None:
    for agent in ("a/1", "b/1", "c/1", "d/1"):
        with requests.Session() as session:
            session.headers["User-Agent"] = agent
            session.get(url, timeout=5)


@well_behaved
def retries_that_help(url: str) -> None:
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=Retry(total=3, status_forcelist=[503])))
        for number in range(5):
            session.get(f"{url}flaky/retry/{number}/{id(session)}", timeout=5)


@well_behaved
def redirects_that_are_followed(url: str) -> None:
    with httpx.Client(follow_redirects=True) as client:
        for number in range(10):
            client.get(f"{url}redirect/fixed/{number}")


@well_behaved
def logging_in_once(url: str) -> None:
    with requests.Session() as session:
        session.get(f"{url}login/ann", timeout=5)
        for number in range(10):
            session.get(f"{url}{number}", timeout=5)


@well_behaved
def a_download_that_is_broken_off(url: str) -> None:
    with requests.Session() as session:
        for _ in range(10):
            session.get(url, timeout=5)
        with session.get(f"{url}size/400000/x", stream=True, timeout=5) as response:
            next(response.iter_content(1_000))


@well_behaved
def an_error_now_and_then(url: str) -> None:
    # No connection is used after a pause, however slow the machine: that one might have been closed meanwhile (PS108).
    limits = httpx.Limits(keepalive_expiry=0.8 * MIN_IDLE)
    with httpx.Client(limits=limits) as client:
        for path in ("", "reset/x", "", "cut/x", "", "drop/x", ""):
            with suppress(httpx.TransportError):
                client.get(f"{url}{path}")


@well_behaved
def one_timeout(url: str) -> None:
    with requests.Session() as session:
        for _ in range(10):
            session.get(url, timeout=5)
        with suppress(requests.Timeout):
            session.get(f"{url}slow/300/x", timeout=0.1)


@well_behaved
def a_poll_with_pauses(url: str) -> None:
    with httpx.Client() as client:
        for _ in range(5):
            client.get(url)
            time.sleep(0.1)


@well_behaved
def a_mock(url: str) -> None:
    httpx.get(url)
    for _ in range(5):
        with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200))) as client:
            client.get("http://mocked.test/")


@well_behaved
def clients_that_are_never_used(url: str) -> None:
    one_call(url)
    for _ in range(20):
        requests.Session().close()


@well_behaved
def uploads(url: str) -> None:
    with httpx.Client() as client:
        for number in range(5):
            client.post(f"{url}fixed", content=b"x" * 100_000, headers={"X-Part": str(number)})


@well_behaved
def a_head_request_before_each_download(url: str) -> None:
    with requests.Session() as session:
        for number in range(5):
            session.get(f"{url}size/10/{number}", timeout=5)
            session.get(f"{url}size/5000/{number}", timeout=5)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_no_warning(server: Running, program: Program) -> None:
    with testing.capture() as captured:
        program(server.url("/"))
    assert captured.exchanges
    # A loop for each batch is right about its clients; that they are built again and again is information.
    known = {("PS126", "info")} if program is a_client_per_event_loop else set()
    if sum((each.pool_wait or 0.0) >= LONG for each in captured.exchanges) >= MIN_WAITED:
        known.add(("PS105", "info"))  # the machine stood still for a second, and so they did wait
    assert {(finding.code, finding.severity) for finding in captured.findings} <= known


@contextmanager
def servers(number: int) -> Iterator[list[str]]:
    if number == 0:
        yield []
        return
    with in_thread() as running, servers(number - 1) as others:
        yield [running.url("/"), *others]


def test_a_crawler_visits_many_hosts() -> None:
    with servers(4) as urls, testing.capture() as captured, requests.Session() as session:
        for url in urls * 3:
            session.get(url, timeout=5)
    assert captured.findings == []


def test_a_webhook_goes_to_many_hosts() -> None:
    with servers(5) as urls, testing.capture() as captured:
        for url in urls:
            httpx.post(url, json={"event": "paid"})
    assert captured.findings == []


def test_a_server_that_refuses_keep_alive_is_one_finding_and_no_other(server: Running) -> None:
    with testing.capture() as captured:
        for _ in range(8):
            requests.get(server.url("/close"), timeout=5)
    assert [finding.code for finding in captured.findings] == ["PS106"]


def test_polling_a_server_that_closes_idle_connections_sooner() -> None:
    with in_thread(ServerConfig(idle_close=0.2)) as running, testing.capture() as captured:
        with requests.Session() as session:
            for _ in range(4):
                session.get(running.url("/"), timeout=5)
                running.settled(lambda log: log.open == 0)
    assert [finding for finding in captured.findings if finding.severity == "warning"] == []

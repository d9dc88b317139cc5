"""More programs that do nothing wrong, as people write them: no warning, and no untrue information."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import itertools
import json
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, closing, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from poolscope import testing
from tests.servers import Running, in_thread

Program = Callable[[str], Any]
PROGRAMS: list[Program] = []


def well_behaved(program: Program) -> Program:
    PROGRAMS.append(program)
    return program


def asynchronous(program: Callable[[str], Any]) -> Program:
    @functools.wraps(program)
    def run(url: str) -> None:
        asyncio.run(program(url))

    return well_behaved(run)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with in_thread() as running:
        yield running


class Repository:
    """A service's client: built once, used by all its methods."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, headers={"Accept": "application/json"}, timeout=3)

    def orders(self) -> int:
        return self.http.get("/orders").status_code

    def customer(self, number: int) -> int:
        return self.http.get(f"/customers/{number}", params={"expand": "address"}).status_code


@well_behaved
def a_repository(url: str) -> None:
    repository = Repository(url)
    with closing(repository.http):
        for number in range(20):
            repository.orders()
            repository.customer(number)


@well_behaved
def a_cached_client(url: str) -> None:
    @functools.cache
    def client() -> httpx.Client:
        return httpx.Client(verify=False)

    for number in range(30):
        client().get(f"{url}{number}")
    client().close()


@dataclass
class Lazy:
    """Builds its session on first use."""

    made: list[requests.Session] = field(default_factory=list)

    @property
    def session(self) -> requests.Session:
        if not self.made:
            self.made.append(requests.Session())
        return self.made[0]


@well_behaved
def a_lazy_property(url: str) -> None:
    lazy = Lazy()
    for number in range(30):
        lazy.session.get(f"{url}{number}", timeout=5)
    lazy.session.close()


@well_behaved
def a_client_for_each_of_two_services(url: str) -> None:
    with httpx.Client(base_url=f"{url}a") as one, httpx.Client(base_url=f"{url}b") as other:
        for _ in range(15):
            one.get("")
            other.get("")


@well_behaved
def a_session_with_everything_set(url: str) -> None:
    with requests.Session() as session:
        session.auth = ("ann", "secret")
        session.headers["User-Agent"] = "shop/1.0"
        session.params = {"tenant": "north"}
        session.mount("http://", HTTPAdapter(pool_connections=4, pool_maxsize=16, max_retries=Retry(2)))
        for number in range(20):
            session.get(f"{url}{number}", timeout=(3, 10))


@well_behaved
def pages_one_after_the_other(url: str) -> None:
    with httpx.Client() as client:
        for page in range(1, 12):
            assert client.get(f"{url}orders", params={"page": page, "per_page": 100}).is_success


@well_behaved
def a_queue_of_jobs(url: str) -> None:
    jobs: queue.Queue[int | None] = queue.Queue()

    def work() -> None:
        with requests.Session() as session:
            for number in iter(jobs.get, None):
                session.get(f"{url}slow/5/{number}", timeout=5)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for job in (*range(60), None, None, None):
        jobs.put(job)
    for thread in threads:
        thread.join()


@well_behaved
def downloads_in_chunks(url: str) -> None:
    with requests.Session() as session:
        for number in range(5):
            with session.get(f"{url}size/200000/{number}", stream=True, timeout=5) as response:
                assert sum(map(len, response.iter_content(16_384))) == 200_000


@well_behaved
def downloads_of_httpx_in_chunks(url: str) -> None:
    with httpx.Client() as client:
        for number in range(5):
            with client.stream("GET", f"{url}size/200000/{number}") as response:
                assert sum(map(len, response.iter_bytes())) == 200_000


@well_behaved
def raw_answers_of_urllib3(url: str) -> None:
    with urllib3.PoolManager(maxsize=4, block=True) as manager:
        for number in range(10):
            response = manager.request("GET", f"{url}size/20000/{number}", preload_content=False)
            assert len(response.read()) == 20_000
            response.release_conn()


@well_behaved
def answers_that_are_only_drained(url: str) -> None:
    with urllib3.PoolManager(maxsize=2, block=True) as manager:
        for number in range(10):
            response = manager.request("GET", f"{url}size/20000/{number}", preload_content=False)
            assert response.status == 200
            response.drain_conn()


@well_behaved
def head_where_only_headers_matter(url: str) -> None:
    with requests.Session() as session:
        for number in range(10):
            session.head(f"{url}empty/{number}", timeout=5)


@well_behaved
def statuses_that_are_no_success(url: str) -> None:
    with httpx.Client() as client:
        for number in range(5):
            response = client.get(f"{url}busy/{number}")
            with suppress(httpx.HTTPStatusError):
                response.raise_for_status()


@well_behaved
def a_login_and_a_session_for_each_user(url: str) -> None:
    for user in ("ann", "bob", "cem", "dia", "eva", "fay"):
        with requests.Session() as session:
            session.post(f"{url}login/{user}", timeout=5)
            for number in range(3):
                session.get(f"{url}{number}", timeout=5)


@well_behaved
def a_token_for_each_tenant(url: str) -> None:
    for tenant in range(12):
        with httpx.Client(headers={"Authorization": f"Bearer {tenant}"}, verify=False) as client:
            client.get(url)


@well_behaved
def a_key_in_the_query_for_each_tenant(url: str) -> None:
    for tenant in range(6):
        with httpx.Client(params={"api_key": f"k{tenant}"}, verify=False) as client:
            client.get(url)


@well_behaved
def a_certificate_context_for_each_partner(url: str) -> None:
    for options in (ssl.OP_NO_TICKET, ssl.OP_NO_RENEGOTIATION, ssl.OP_SINGLE_ECDH_USE, ssl.OP_NO_COMPRESSION):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.options = options
        with httpx.Client(verify=context) as client:
            client.get(url)


@well_behaved
def a_source_address_for_each_line(url: str) -> None:
    for number in range(4):
        transport = httpx.HTTPTransport(local_address=f"127.0.0.{number + 1}")
        with httpx.Client(transport=transport) as client:
            client.get(url)


@well_behaved
def three_scripts_in_one(url: str) -> None:
    with requests.Session() as session:
        session.get(url, timeout=5)
    with requests.Session() as session:
        session.get(url, timeout=5)


@well_behaved
def a_health_check_at_start(url: str) -> None:
    assert requests.get(url, timeout=5).ok
    with requests.Session() as session:
        for number in range(20):
            session.get(f"{url}{number}", timeout=5)


@well_behaved
def waits_until_a_service_is_up(url: str) -> None:
    with httpx.Client() as client:
        for attempt in itertools.count():
            with suppress(httpx.ConnectError):
                client.get(url if attempt > 3 else "http://127.0.0.1:9/")
                return
            time.sleep(0.01)


@well_behaved
def a_few_uploads_as_json(url: str) -> None:
    with requests.Session() as session:
        for number in range(8):
            session.post(f"{url}fixed", data=json.dumps({"n": number}), timeout=5)


@well_behaved
def an_exit_stack(url: str) -> None:
    with ExitStack() as stack:
        client = stack.enter_context(httpx.Client())
        for number in range(10):
            client.get(f"{url}{number}")


@well_behaved
def digest_authentication(url: str) -> None:
    with httpx.Client(auth=httpx.DigestAuth("ann", "secret")) as client:
        for number in range(6):
            client.get(f"{url}digest/{number}")


@well_behaved
def a_context_that_is_copied(url: str) -> None:
    with httpx.Client() as client:
        for number in range(10):
            contextvars.copy_context().run(client.get, f"{url}{number}")


@asynchronous
async def an_async_exit_stack(url: str) -> None:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient())
        for number in range(10):
            await client.get(f"{url}{number}")


@asynchronous
async def workers_on_one_client(url: str) -> None:
    jobs: asyncio.Queue[int] = asyncio.Queue()
    for number in range(60):
        jobs.put_nowait(number)

    async def work() -> None:
        while not jobs.empty():
            await client.get(f"{url}slow/5/{jobs.get_nowait()}")

    async with httpx.AsyncClient() as client, asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(work())


@asynchronous
async def two_clients_with_timeouts_of_their_own(url: str) -> None:
    async with httpx.AsyncClient(timeout=1) as quick, httpx.AsyncClient(timeout=30) as patient:
        for number in range(10):
            await quick.get(f"{url}{number}")
            await patient.get(f"{url}slow/10/{number}")


@asynchronous
async def streams_that_are_followed(url: str) -> None:
    async def follow(client: httpx.AsyncClient) -> None:
        for _ in range(3):
            async with client.stream("GET", f"{url}chunked/events") as response:
                async for _ in response.aiter_bytes():
                    pass

    async with httpx.AsyncClient() as client:
        await asyncio.gather(*(follow(client) for _ in range(4)))


@asynchronous
async def the_quickest_of_two(url: str) -> None:
    async with httpx.AsyncClient() as client:
        tasks = [asyncio.create_task(client.get(f"{url}slow/{wait}/x")) for wait in (10, 400)]
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == 1
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


@asynchronous
async def a_sync_session_in_worker_threads(url: str) -> None:
    with requests.Session() as session:
        await asyncio.gather(
            *(asyncio.to_thread(session.get, f"{url}slow/5/{number}", timeout=5) for number in range(20))
        )


@well_behaved
def one_client_in_many_threads(url: str) -> None:
    with httpx.Client() as client, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: client.get(f"{url}slow/5/{number}"), range(80)))


@well_behaved
def open_streams_of_threads_that_read_them(url: str) -> None:
    def follow(_: int) -> int:
        with session.get(f"{url}size/100000/x", stream=True, timeout=5) as response:
            return sum(map(len, response.iter_content(1_000)))

    with requests.Session() as session, ThreadPoolExecutor(4) as threads:
        assert set(threads.map(follow, range(8))) == {100_000}


@well_behaved
def sessions_that_share_an_adapter(url: str) -> None:
    with closing(HTTPAdapter()) as shared:
        for _ in range(6):
            session = requests.Session()
            session.mount("http://", shared)
            session.get(url, timeout=5)


@well_behaved
def clients_that_share_a_transport(url: str) -> None:
    class Shared(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return transport.handle_request(request)

    with httpx.HTTPTransport() as transport:
        for _ in range(6):
            with httpx.Client(transport=Shared()) as client:
                client.get(url)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_no_warning(server: Running, program: Program) -> None:
    with testing.capture() as captured:
        program(server.url("/"))
    assert captured.exchanges
    assert captured.findings == []

"""PS101 on real clients and a real server: it fires where it should, and stays silent for well-behaved programs."""

from __future__ import annotations

import asyncio
import inspect
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from poolscope import testing
from poolscope.records import Finding
from tests.servers import Running, in_thread

Program = Callable[[str], None]


def found(program: Program, *urls: str) -> list[Finding]:
    with testing.capture() as captured:
        for url in urls:
            program(url)
    assert captured.exchanges
    return captured.findings


def requests_get(url: str) -> None:
    for _ in range(5):
        requests.get(url, timeout=5)


def requests_session_each(url: str) -> None:
    for _ in range(5):
        with requests.Session() as session:
            session.get(url, timeout=5)


def requests_session_with_an_adapter_each(url: str) -> None:
    for _ in range(5):
        with requests.Session() as session:
            session.mount("http://", HTTPAdapter(max_retries=3))
            session.get(url, timeout=5)


def httpx_get(url: str) -> None:
    for _ in range(5):
        httpx.get(url)


def httpx_client_each(url: str) -> None:
    for _ in range(5):
        with httpx.Client() as client:
            client.get(url)


def httpx_clients_left_to_the_collector(url: str) -> None:
    for _ in range(5):
        httpx.Client().get(url)


def async_client_each(url: str) -> None:
    async def main() -> None:
        for _ in range(5):
            async with httpx.AsyncClient() as client:
                await client.get(url)

    asyncio.run(main())


# Some of these programs leave clients open on purpose.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("program", "kind"),
    [
        (requests_get, "requests.get"),
        (requests_session_each, "requests.Session"),
        (httpx_get, "httpx.get"),
        (httpx_client_each, "httpx.Client"),
        (httpx_clients_left_to_the_collector, "httpx.Client"),
        (async_client_each, "httpx.AsyncClient"),
    ],
)
def test_a_client_per_request(server: Running, program: Program, kind: str) -> None:
    (finding,) = found(program, server.url("/"))
    assert (finding.code, finding.count, finding.origin) == ("PS101", 5, server.origin)
    assert finding.call_site is not None
    assert finding.call_site.file == __file__
    lines, first = inspect.getsourcelines(program)
    assert first < finding.call_site.line < first + len(lines)
    assert kind in finding.sentence
    assert finding.cost is not None and finding.saving is not None
    assert 0 < finding.saving < finding.cost


def loop_inside_one_client(url: str) -> None:
    with httpx.Client() as client:
        for _ in range(20):
            client.get(url)


def one_session(url: str) -> None:
    with requests.Session() as session:
        for _ in range(20):
            session.get(url, timeout=5)


def client_per_event_loop(url: str) -> None:
    async def main() -> None:
        async with httpx.AsyncClient() as client:
            await client.get(url)

    for _ in range(5):
        asyncio.run(main())


def different_credentials(url: str) -> None:
    for number in range(5):
        with httpx.Client(auth=("user", f"password {number}")) as client:
            client.get(url)


def different_credentials_of_sessions(url: str) -> None:
    for number in range(5):
        with requests.Session() as session:
            session.auth = ("user", f"password {number}")
            session.get(url, timeout=5)


def different_keys_of_sessions(url: str) -> None:
    for number in range(5):
        with requests.Session() as session:
            session.headers["X-API-Key"] = f"key {number}"
            session.get(url, timeout=5)


def different_users_of_sessions(url: str) -> None:
    for number in range(5):
        with requests.Session() as session:
            session.post(f"{url}login/{number}", timeout=5)
            session.get(url, timeout=5)


def different_users_of_clients(url: str) -> None:
    for number in range(5):
        with httpx.Client() as client:
            client.post(f"{url}login/{number}")
            client.get(url)


def different_addresses_of_sessions(url: str) -> None:
    for number in range(5):
        with requests.Session() as session:
            session.mount("http://", SourceAddressAdapter(f"127.0.0.{number + 2}"))
            session.get(url, timeout=5)


def different_addresses_of_managers(url: str) -> None:
    for number in range(5):
        with urllib3.PoolManager(source_address=(f"127.0.0.{number + 2}", 0)) as manager:
            manager.request("GET", url)


class SourceAddressAdapter(HTTPAdapter):
    """Like the adapter of requests-toolbelt."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, source_address=(self.address, 0))


def clients_kept(url: str) -> None:
    clients = [httpx.Client() for _ in range(4)]
    for client in clients:
        client.get(url)
    kept.extend(clients)


kept: list[httpx.Client] = []


@pytest.fixture(autouse=True)
def close_what_was_kept() -> Iterator[None]:
    yield
    while kept:
        kept.pop().close()


@pytest.mark.parametrize(
    "program",
    [
        loop_inside_one_client,
        one_session,
        different_credentials,
        different_credentials_of_sessions,
        different_keys_of_sessions,
        different_users_of_sessions,
        different_users_of_clients,
        different_addresses_of_sessions,
        different_addresses_of_managers,
        clients_kept,
    ],
)
def test_well_behaved_programs(server: Running, program: Program) -> None:
    assert not found(program, server.url("/"))


def test_a_client_per_event_loop_is_information_at_most(server: Running) -> None:
    findings = found(client_per_event_loop, server.url("/"))
    assert {(finding.code, finding.severity) for finding in findings} <= {("PS126", "info")}


def one_call(url: str) -> None:
    requests.get(url, timeout=5)


def test_five_hosts() -> None:
    with in_thread() as a, in_thread() as b, in_thread() as c, in_thread() as d, in_thread() as e:
        assert not found(one_call, *(server.url("/") for server in (a, b, c, d, e)))


def test_the_advice_keeps_its_promise_with_many_servers() -> None:
    """A session's default keeps connections to ten servers: with twelve in turn, it reuses none."""

    def calls(_: str) -> None:
        for url in urls * 4:
            requests.get(url, timeout=5)

    def shared(size: int) -> Program:
        def program(_: str) -> None:
            with requests.Session() as session:
                session.mount("http://", HTTPAdapter(pool_connections=size))
                for url in urls * 4:
                    session.get(url, timeout=5)

        return program

    with ExitStack() as stack:
        servers = [stack.enter_context(in_thread()) for _ in range(12)]
        urls = [server.url("/") for server in servers]

        def accepted(program: Program) -> tuple[int, set[str]]:
            before = sum(server.log().accepts for server in servers)
            codes = {finding.code for finding in found(program, "")}
            return sum(server.log().accepts for server in servers) - before, codes

        fixes = {finding.fix for finding in found(calls, "")}
        assert len(fixes) == 1
        size = re.search(r"mount HTTPAdapter\(pool_connections=(\d+)\)", fixes.pop())
        assert size is not None
        assert accepted(shared(int(size[1]))) == (12, set())
        assert accepted(shared(10)) == (48, {"PS117"})


def test_all_at_once_is_not_avoidable(server: Running) -> None:
    async def main() -> None:
        arrived = asyncio.Barrier(6)

        async def one() -> None:
            async with httpx.AsyncClient() as client:
                await arrived.wait()
                await client.get(server.url("/slow/200/x"))

        await asyncio.gather(*(one() for _ in range(6)))

    def program(_: str) -> None:
        asyncio.run(main())

    assert not found(program, server.url("/"))


def test_a_server_that_closes(server: Running) -> None:
    def program(url: str) -> None:
        for _ in range(5):
            requests.get(url, timeout=5)

    assert [finding.code for finding in found(program, server.url("/close"))] == ["PS106"]


@pytest.mark.parametrize("client", [requests.Session, httpx.Client])
def test_a_server_that_closes_without_a_word(server: Running, client: Any) -> None:
    def program(url: str) -> None:
        for _ in range(8):
            with client() as own:
                own.get(url)
                server.settled(lambda log: log.open == 0)

    assert [finding.code for finding in found(program, server.url("/last"))] == ["PS106"]


class Api:
    """A package that belongs to the program."""

    def __init__(self) -> None:
        self.session = requests.Session()


def test_an_sdk_of_the_programs_own_has_both_lines(server: Running) -> None:
    def program(url: str) -> None:
        for _ in range(5):
            api = Api()
            api.session.get(url, timeout=5)
            api.session.close()

    (finding,) = found(program, server.url("/"))
    assert finding.call_site is not None and finding.sdk_call_site is not None
    assert finding.call_site.function.endswith("program")
    assert finding.sdk_call_site.function == "Api.__init__"
    assert "Create the object that builds the requests.Session" in finding.fix


def test_in_several_threads_no_saving_is_promised(server: Running) -> None:
    def one(_: Any) -> None:
        with httpx.Client(timeout=30) as client:
            client.get(server.url("/together/4/x"))

    def program(_: str) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(one, range(24)))

    (finding,) = found(program, server.url("/"))
    assert finding.count == 24
    assert finding.cost is not None and finding.cost > 0
    assert finding.saving is None


def test_calls_that_threads_make_have_a_fix_but_no_line(server: Running) -> None:
    def program(url: str) -> None:
        for _ in range(20):
            thread = threading.Thread(target=requests.get, args=(url,))
            thread.start()
            thread.join()

    (finding,) = found(program, server.url("/"))
    assert (finding.call_site, finding.sdk_call_site, finding.kind) == (None, None, "requests.get")
    assert "requests.Session()" in finding.fix

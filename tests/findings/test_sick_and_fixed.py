"""Pairs of programs on a real server: the sick program has its finding at its line, the fixed one has none."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import certifi
import httpx
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

import poolscope
from poolscope import testing
from poolscope.records import Finding
from tests.servers import Running, ask_unobserved, in_thread

Program = Callable[[str], Any]


def found(program: Program, url: str) -> list[Finding]:
    with testing.capture() as captured:
        program(url)
    assert captured.exchanges
    return captured.findings


def streams_unread(url: str) -> None:
    with requests.Session() as session:
        for _ in range(5):
            session.get(f"{url}size/400000/x", stream=True, timeout=5).close()


def streams_read(url: str) -> None:
    with requests.Session() as session:
        for _ in range(5):
            with session.get(f"{url}size/400000/x", stream=True, timeout=5) as response:
                assert response.content


def answers_dropped(url: str) -> None:
    with requests.Session() as session:
        for _ in range(5):
            session.get(f"{url}size/400000/x", stream=True, timeout=5)
            gc.collect()


def bursts(url: str, size: int) -> None:
    with requests.Session() as session, ThreadPoolExecutor(8) as threads:
        session.mount("http://", HTTPAdapter(pool_maxsize=size))
        for _ in range(3):
            list(threads.map(lambda _: session.get(f"{url}together/8/x", timeout=30), range(8)))


def small_pool(url: str) -> None:
    bursts(url, 2)


def large_pool(url: str) -> None:
    bursts(url, 8)


def refused(url: str) -> None:
    with httpx.Client() as client:
        for _ in range(6):
            client.get(f"{url}close")


def refused_silently(_: str) -> None:
    with in_thread() as own, requests.Session() as session:
        for number in range(7):
            session.get(own.url(f"/last/{number}"), timeout=5)
            own.settled(lambda log: log.open == 0)


def kept(url: str) -> None:
    with requests.Session() as session:
        for _ in range(6):
            session.get(url, timeout=5)


def polls(url: str, expiry: float) -> None:
    with httpx.Client(limits=httpx.Limits(keepalive_expiry=expiry)) as client:
        for _ in range(5):
            client.get(url)
            time.sleep(0.3)


def expires(url: str) -> None:
    polls(url, 0.2)


def does_not_expire(url: str) -> None:
    polls(url, 2.0)


def stale(url: str) -> None:
    with httpx.Client() as client:
        client.get(url)
        time.sleep(0.6)
        with suppress(httpx.RemoteProtocolError):
            client.get(f"{url}drop")


def not_stale(url: str) -> None:
    with httpx.Client(limits=httpx.Limits(keepalive_expiry=0.3)) as client:
        client.get(url)
        time.sleep(0.6)
        client.get(url)


def retries(url: str, backoff: float) -> None:
    retry = Retry(total=3, backoff_factor=backoff, status_forcelist=[503], raise_on_status=False)
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=retry))
        session.get(f"{url}busy/x", timeout=5)


def retries_slowly(url: str) -> None:
    retries(url, 0.3)


def retries_at_once(url: str) -> None:
    retries(url, 0.0)


def gives_up(url: str, after: float) -> None:
    with httpx.Client(timeout=after) as client:
        for _ in range(4):
            with suppress(httpx.ReadTimeout):
                client.get(url)


def impatient(url: str) -> None:
    gives_up(f"{url}silence", 0.1)


def patient(url: str) -> None:
    gives_up(f"{url}slow/300/x", 30.0)


def cut_off(url: str) -> None:
    def one(_: int) -> None:
        with suppress(requests.ConnectionError):
            session.get(f"{url}cutoff/2500/x", timeout=30)

    # At the same time, so that a machine that pauses makes all of them wait longer.
    with requests.Session() as session, ThreadPoolExecutor(3) as threads:
        list(threads.map(one, range(3)))


def answered_in_time(url: str) -> None:
    with requests.Session() as session:
        for _ in range(3):
            session.get(f"{url}slow/500/x", timeout=5)


def in_batches(url: str, batches: int, each: int) -> None:
    local = threading.local()

    def one(_: int) -> None:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        local.session.get(url, timeout=5)

    for _ in range(batches):
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(one, range(each)))


def dying_threads(url: str) -> None:
    in_batches(url, 8, 60)


def living_threads(url: str) -> None:
    in_batches(url, 1, 480)


def one_slot(url: str, give_back: bool) -> None:
    with urllib3.PoolManager(block=True, maxsize=1) as manager:
        for _ in range(2):
            with suppress(urllib3.exceptions.EmptyPoolError):
                with manager.request(
                    "GET", f"{url}size/400000/x", preload_content=False, pool_timeout=0.2, retries=False
                ) as response:
                    assert not give_back or response.data


def closed_but_not_given_back(url: str) -> None:
    one_slot(url, give_back=False)


def given_back(url: str) -> None:
    one_slot(url, give_back=True)


def long_polls(url: str, allowed: int) -> None:
    timeout, poll = httpx.Timeout(30, pool=0.2), f"{url}together/3/x"
    with (
        httpx.Client(limits=httpx.Limits(max_connections=allowed), timeout=timeout) as client,
        ThreadPoolExecutor(3) as threads,
    ):
        polls = [threads.submit(client.get, poll) for _ in range(2)]
        while len(poolscope.snapshot().holders) < 2:
            time.sleep(0.01)
        with suppress(httpx.PoolTimeout):
            client.get(url)
        ask_unobserved(poll)
        assert all(each.result().is_success for each in polls)


def polls_in_a_small_pool(url: str) -> None:
    long_polls(url, 2)


def polls_in_a_large_pool(url: str) -> None:
    long_polls(url, 10)


def in_a_loop(url: str, client: httpx.AsyncClient, own: bool) -> None:
    async def main() -> None:
        with suppress(RuntimeError):
            await client.get(url)
        if own:
            await client.aclose()

    asyncio.run(main())


def one_client_for_all_loops(url: str) -> None:
    client = httpx.AsyncClient(verify=False)
    for _ in range(2):
        in_a_loop(url, client, own=False)


def a_client_for_each_loop(url: str) -> None:
    for _ in range(2):
        in_a_loop(url, httpx.AsyncClient(verify=False), own=True)


kept_open: list[requests.Response] = []


def answers_kept_open(url: str) -> None:
    session = requests.Session()
    kept_open.extend(session.get(f"{url}size/400000/x", stream=True, timeout=5) for _ in range(4))


left: list[httpx.Client] = []


def never_closed(url: str) -> None:
    for _ in range(12):
        client = httpx.Client(verify=False)
        client.get(url)
        left.append(client)


def closed_once(url: str) -> None:
    client = httpx.Client(verify=False)
    for _ in range(12):
        client.get(url)
    left.append(client)


@pytest.fixture(autouse=True)
def close_what_was_left() -> Iterator[None]:
    yield
    while left:
        left.pop().close()
    while kept_open:
        kept_open.pop().close()


PAIRS: dict[str, tuple[str, Program, Program]] = {
    "unread": ("PS103", streams_unread, streams_read),
    "dropped": ("PS103", answers_dropped, streams_read),
    "kept open": ("PS103", answers_kept_open, streams_read),
    "not given back": ("PS105", closed_but_not_given_back, given_back),
    "long polls": ("PS105", polls_in_a_small_pool, polls_in_a_large_pool),
    "overflow": ("PS104", small_pool, large_pool),
    "refused": ("PS106", refused, kept),
    "refused silently": ("PS106", refused_silently, kept),
    "expiry": ("PS107", expires, does_not_expire),
    "loops": ("PS109", one_client_for_all_loops, a_client_for_each_loop),
    "stale": ("PS108", stale, not_stale),
    "retries": ("PS120", retries_slowly, retries_at_once),
    "timeouts": ("PS121", impatient, patient),
    "cut off": ("PS123", cut_off, answered_in_time),
    "threads": ("PS122", dying_threads, living_threads),
    "clients kept": ("PS102", never_closed, closed_once),
}
SHARED: dict[Program, Callable[..., Any]] = {
    closed_but_not_given_back: one_slot, polls_in_a_small_pool: long_polls, one_client_for_all_loops: in_a_loop, small_pool: bursts, expires: polls, retries_slowly: retries, impatient: gives_up, dying_threads: in_batches,
}  # fmt: skip
"""The program's real line."""


# Some of these programs leave answers and clients open on purpose.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("pair", PAIRS)
def test_the_sick_one_has_it_at_its_line(server: Running, pair: str) -> None:
    code, sick, _ = PAIRS[pair]
    findings = found(sick, server.url("/"))
    assert [finding.code for finding in findings] == [code]
    site = findings[0].call_site
    assert site is not None
    assert site.file == __file__
    lines, first = inspect.getsourcelines(SHARED.get(sick, sick))
    assert first < site.line < first + len(lines)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_fixed_one_has_nothing(server: Running, pair: str) -> None:
    assert not found(PAIRS[pair][2], server.url("/"))


@pytest.fixture
def slow_to_build(tmp_path: Path) -> Iterator[str]:
    """A bundle of so many certificates that a client takes long to load it."""
    bundle = tmp_path / "ca.pem"
    bundle.write_text(certifi.contents() * 20, encoding="ascii")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # verify= as a file name
        yield str(bundle)


def test_a_client_built_while_others_wait_for_their_answers(server: Running, slow_to_build: str) -> None:
    async def ask(client: httpx.AsyncClient, path: str) -> None:
        await client.get(server.url(path))

    async def sick() -> None:
        async with httpx.AsyncClient() as shared:
            waiting = asyncio.create_task(ask(shared, "/together/2/x"))
            while not any(holder.state == "awaiting_headers" for holder in poolscope.snapshot().holders):
                await asyncio.sleep(0.001)
            async with httpx.AsyncClient(verify=slow_to_build):
                pass
            ask_unobserved(server.url("/together/2/x"))
            await waiting

    async def fixed(late: httpx.AsyncClient) -> None:
        async with httpx.AsyncClient(verify=slow_to_build) as shared, late:
            await asyncio.gather(ask(shared, "/slow/20/"), ask(late, "/"))

    with testing.capture() as captured:
        asyncio.run(sick())
    (finding,) = captured.findings
    assert (finding.code, finding.count, finding.severity) == ("PS126", 1, "info")
    with testing.capture() as captured:
        asyncio.run(fixed(httpx.AsyncClient(verify=slow_to_build)))
    assert captured.findings == []


def test_a_loop_for_each_call_builds_a_client_for_each(server: Running, slow_to_build: str) -> None:
    async def ask() -> None:
        async with httpx.AsyncClient(verify=slow_to_build) as client:
            await client.get(server.url("/"))

    with testing.capture() as captured:
        for _ in range(4):
            asyncio.run(ask())
    (finding,) = captured.findings
    assert (finding.code, finding.count, finding.severity) == ("PS126", 4, "info")
    assert finding.cost == pytest.approx(captured.cost())
    with testing.capture() as captured:
        asyncio.run(ask())
    assert captured.findings == []

"""A call that a thread makes for the program belongs to the program's line that handed it over."""

from __future__ import annotations

import asyncio
import gc
import inspect
import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.thread import _WorkItem
from multiprocessing.pool import ThreadPool
from types import FrameType
from typing import Any
from weakref import ref

import anyio
import anyio.to_thread
import pytest
import requests

import poolscope
from poolscope import testing
from poolscope.libraries.callsite import HANDED_BY
from tests.servers import Running

Program = Callable[[str], Any]


def by_submit(url: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        [threads.submit(requests.get, url, timeout=5) for _ in range(5)]  # here


def by_map(url: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(requests.get, [url] * 5))  # here


def by_to_thread(url: str) -> None:
    async def main() -> None:
        for _ in range(5):
            await asyncio.to_thread(requests.get, url, timeout=5)  # here

    asyncio.run(main())


def by_tasks(url: str) -> None:
    async def main() -> None:
        calls = [asyncio.to_thread(requests.get, url, timeout=5) for _ in range(5)]  # here
        await asyncio.gather(*calls)

    asyncio.run(main())


def by_the_loop(url: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(5):
            await loop.run_in_executor(None, requests.get, url)  # here

    asyncio.run(main())


def by_anyio(url: str) -> None:
    async def main() -> None:
        for _ in range(5):
            await anyio.to_thread.run_sync(requests.get, url)  # here

    anyio.run(main)


def by_anyio_on_trio(url: str) -> None:
    async def main() -> None:
        for _ in range(5):
            await anyio.to_thread.run_sync(requests.get, url)  # here

    anyio.run(main, backend="trio")


def by_a_pool_that_hands_on(url: str) -> None:
    with ThreadPoolExecutor(2) as threads, ThreadPoolExecutor(2) as others:
        for _ in range(5):
            threads.submit(others.submit, requests.get, url).result().result()  # here


def by_a_thread_pool(url: str) -> None:
    with ThreadPool(2) as threads:
        [job.get() for job in [threads.apply_async(requests.get, (url,)) for _ in range(5)]]  # here


def by_map_of_a_thread_pool(url: str) -> None:
    with ThreadPool(2) as threads:
        threads.map(requests.get, [url] * 5)  # here


def by_imap(url: str) -> None:
    with ThreadPool(2) as threads:
        list(threads.imap_unordered(requests.get, [url] * 5))  # here


def by_imap_in_pieces(url: str) -> None:
    with ThreadPool(2) as threads:
        list(threads.imap(requests.get, [url] * 5, chunksize=2))  # here


def by_a_thread_pool_that_hands_on(url: str) -> None:
    with ThreadPool(2) as threads, ThreadPoolExecutor(2) as others:
        for _ in range(5):
            threads.apply(others.submit, (requests.get, url)).result()  # here


def line_of(program: Program) -> int:
    lines, first = inspect.getsourcelines(program)
    return first + next(number for number, line in enumerate(lines) if "# here" in line)


@pytest.mark.parametrize(
    "program",
    [
        by_submit,
        by_map,
        by_to_thread,
        by_tasks,
        by_the_loop,
        by_anyio,
        by_anyio_on_trio,
        by_a_pool_that_hands_on,
        by_a_thread_pool,
        by_map_of_a_thread_pool,
        by_imap,
        by_imap_in_pieces,
        by_a_thread_pool_that_hands_on,
    ],
)
def test_it_names_the_line(server: Running, program: Program) -> None:
    with testing.capture() as captured:
        program(server.origin)
    assert len(captured.exchanges) == 5
    sites = {client.call_site for client in captured.clients} | {
        each.call_site for each in captured.exchanges
    }
    assert {(site.file, site.line) for site in sites if site is not None} == {(__file__, line_of(program))}
    assert None not in sites


def test_the_finding_is_at_that_line(server: Running) -> None:
    with testing.capture() as captured:
        by_map(server.origin)
    (finding,) = captured.findings
    assert finding.call_site is not None
    assert (finding.code, finding.call_site.line) == ("PS101", line_of(by_map))
    assert "call session.get(…) on it" in finding.fix


def test_a_line_on_the_threads_own_stack_is_nearer(server: Running) -> None:
    def get(url: str) -> None:
        requests.get(url, timeout=5)  # here

    with testing.capture() as captured, ThreadPoolExecutor(2) as threads:
        list(threads.map(get, [server.origin] * 3))
    assert {each.call_site.line for each in captured.exchanges if each.call_site} == {line_of(get)}


def test_work_from_before_poolscope_has_no_line(server: Running) -> None:
    with ThreadPoolExecutor(1) as threads:
        goes = threading.Event()
        threads.submit(goes.wait)
        waiting = threads.submit(requests.get, server.origin)
        with testing.capture() as captured:
            goes.set()
            waiting.result()
    assert [each.call_site for each in captured.exchanges] == [None]


@pytest.mark.parametrize("traced", [False, True], ids=["alone", "traced"])
def test_a_thread_pool_keeps_nothing_of_a_call_that_is_over(server: Running, traced: bool) -> None:
    def trace(frame: FrameType, _event: str, _argument: Any) -> Any:
        assert frame.f_locals is not None
        return trace

    if traced:  # as by a debugger, or another tool's coverage
        threading.settrace(trace)
    try:
        with testing.capture() as captured, ThreadPool(1) as threads:
            session = requests.Session()
            kept = ref(session)
            assert [threads.apply(session.get, (server.origin,)).status_code for _ in range(3)] == [200] * 3
            session.close()
            del session
            threads.apply(int)
            gc.collect()
            assert kept() is None
    finally:
        threading.settrace(None)
    assert None not in [each.call_site for each in captured.exchanges]


def test_jobs_of_processes_are_left_alone() -> None:
    with testing.capture(), multiprocessing.get_context("spawn").Pool(1) as processes:
        job = processes.apply_async(divmod, (7, 2))
        assert HANDED_BY not in vars(job)
        assert job.get(30) == (3, 1)


def test_nobody_notices(server: Running) -> None:
    bare = asyncio.to_thread, inspect.signature(asyncio.to_thread), vars(_WorkItem)["__init__"]
    with testing.capture():
        assert inspect.iscoroutinefunction(asyncio.to_thread)
        assert inspect.signature(asyncio.to_thread) == bare[1]
        assert asyncio.run(asyncio.to_thread(divmod, 7, 2)) == (3, 1)
        with ThreadPoolExecutor(1) as threads, pytest.raises(ZeroDivisionError) as raised:
            threads.submit(divmod, 1, 0).result()
        package = inspect.getfile(poolscope).removesuffix("__init__.py")
        assert not [entry for entry in raised.traceback if str(entry.path).startswith(package)]
    assert (asyncio.to_thread, vars(_WorkItem)["__init__"]) == (bare[0], bare[2])

"""One process of a measurement: one library under one variant, controlled by its standard input.

Each line of input is a number of requests; the answer is the process CPU they took, in µs per request, including
everything they caused (drain, flush of providers).
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.variants import VARIANTS

Round = Callable[[int], None]


def requests_round(url: str) -> Round:
    """``Session.get`` in a loop."""
    import requests

    session = requests.Session()

    def run(count: int) -> None:
        for _ in range(count):
            session.get(url).content  # noqa: B018

    return run


def httpx_round(url: str) -> Round:
    """``httpx.Client.get`` in a loop."""
    import httpx

    client = httpx.Client()

    def run(count: int) -> None:
        for _ in range(count):
            client.get(url)

    return run


def httpx_async_round(url: str) -> Round:
    """``httpx.AsyncClient.get`` in a loop, on one event loop that lives as long as the process."""
    import httpx

    runner = asyncio.Runner()
    client = httpx.AsyncClient()

    async def gets(count: int) -> None:
        for _ in range(count):
            await client.get(url)

    return lambda count: runner.run(gets(count))


def httpx_pool_round(url: str) -> Round:
    """``httpx.Client.get`` in a loop, in a pool that holds 20 connections."""
    import httpx

    client = httpx.Client(limits=httpx.Limits(max_keepalive_connections=20, keepalive_expiry=9_000))
    held = [client.send(client.build_request("GET", url), stream=True) for _ in range(20)]
    for response in held:
        response.read()

    def run(count: int) -> None:
        for _ in range(count):
            client.get(url)

    return run


def httpx_tasks_round(url: str) -> Round:
    """50 tasks share one ``httpx.AsyncClient``; each makes its part of the requests."""
    import httpx

    runner = asyncio.Runner()
    client = httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=50, keepalive_expiry=9_000))

    async def gets(count: int) -> None:
        for _ in range(count):
            await client.get(url)

    async def tasks(count: int) -> None:
        await asyncio.gather(*(gets(count // 50) for _ in range(50)))

    return lambda count: runner.run(tasks(count))


def requests_threads_round(url: str) -> Round:
    """8 threads share one Session with room for all of them; each makes its part of the requests."""
    from concurrent.futures import ThreadPoolExecutor

    import requests
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=8))
    pool = ThreadPoolExecutor(8)

    def gets(count: int) -> None:
        for _ in range(count):
            session.get(url).content  # noqa: B018

    def run(count: int) -> None:
        list(pool.map(gets, [count // 8] * 8))

    return run


def aiohttp_round(url: str) -> Round:
    """``aiohttp.ClientSession.get`` in a loop, on one event loop that lives as long as the process."""
    import aiohttp

    runner = asyncio.Runner()
    sessions: list[aiohttp.ClientSession] = []

    async def gets(count: int) -> None:
        if not sessions:
            sessions.append(aiohttp.ClientSession())
        for _ in range(count):
            async with sessions[0].get(url) as response:
                await response.read()

    def run(count: int) -> None:
        runner.run(gets(count))

    return run


LIBRARIES: dict[str, Callable[[str], Round]] = {
    "aiohttp": aiohttp_round,
    "httpx": httpx_round,
    "httpx-pool-of-20": httpx_pool_round,
    "httpx-async": httpx_async_round,
    "httpx-async-50-tasks": httpx_tasks_round,
    "requests": requests_round,
    "requests-8-threads": requests_threads_round,
}


def commands() -> Iterator[int]:
    """Round sizes from standard input."""
    for line in sys.stdin:
        yield int(line)


def main(library: str, variant: str, url: str, cpu: int) -> None:
    """Set the variant up, warm it up, and answer rounds until standard input ends."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {cpu})
    settle: Callable[[], Any] = VARIANTS[variant](library.split("-", maxsplit=1)[0])
    run = LIBRARIES[library](url)
    run(300)
    settle()
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    for count in commands():
        before = time.process_time()
        run(count)
        settle()
        print((time.process_time() - before) / count * 1e6, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))

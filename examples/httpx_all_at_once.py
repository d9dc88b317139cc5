"""The same requests with httpx one after the other, all at once, and 20 at a time, each on one shared client.

With the default limits a client opens up to 100 connections and keeps 20. When all requests are started at
once the rest waits in the pool, which looks through all that wait whenever one ends, and hands a connection
to several of them: the report counts how often one was taken already. From a service that takes its time
most connections are closed after one request, because more than 20 are there (max keepalive surplus), and
opened again for the next.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

import httpx

url = sys.argv[1]
count = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000
patient = httpx.Timeout(10, pool=120)


async def one_by_one() -> None:
    async with httpx.AsyncClient(timeout=patient) as client:
        for _ in range(count):
            await client.get(url)


async def all_at_once() -> None:
    async with httpx.AsyncClient(timeout=patient) as client:
        await asyncio.gather(*(client.get(url) for _ in range(count)))


async def twenty_at_a_time() -> None:
    allowed = asyncio.Semaphore(20)
    async with httpx.AsyncClient(timeout=patient) as client:

        async def fetch() -> None:
            async with allowed:
                await client.get(url)

        await asyncio.gather(*(fetch() for _ in range(count)))


async def timed(way: Callable[[], Awaitable[None]]) -> None:
    started = time.perf_counter()
    await way()
    print(
        f"{count} requests, {way.__name__.replace('_', ' ') + ':':<18} {time.perf_counter() - started:6.2f} s"
    )


async def main() -> None:
    for way in (one_by_one, all_at_once, twenty_at_a_time):
        await timed(way)


asyncio.run(main())

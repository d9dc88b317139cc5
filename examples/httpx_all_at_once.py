"""The same requests with httpx: one after the other, all at once, and 20 at a time, each time on one shared client.

With the default limits a client opens up to 100 connections and keeps 20. Each time a request starts or ends, the
pool scans all waiting requests, and all its connections for each of them: CPU that grows with the square of the
number of requests. 1,000 requests took 27 s, and 1 s one after the other. Besides, most connections are closed
after one request because there are more than 20 (max keepalive surplus), and opened again for the next one.
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
    clock, processor = time.perf_counter(), time.process_time()
    await way()
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    name = way.__name__.replace("_", " ")
    print(f"{count} requests, {name + ':':<18} {clock:6.2f} s by the clock, {processor:6.2f} s of our CPU")


async def main() -> None:
    for way in (one_by_one, all_at_once, twenty_at_a_time):
        await timed(way)


asyncio.run(main())

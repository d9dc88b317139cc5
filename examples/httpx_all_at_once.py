"""1,000 requests at once on one AsyncClient with the default limits: slower than one after the other.

100 connections are opened at once, 20 are kept; the pool looks through all waiting requests whenever
one ends. The waiting shows in the report, and so do the connections closed only to be opened again.
"""

import asyncio
import sys
import time

import httpx

url = sys.argv[1]
count = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000


async def main() -> None:
    async with httpx.AsyncClient(timeout=httpx.Timeout(10, pool=120)) as client:
        started = time.perf_counter()
        for _ in range(count):
            await client.get(url)
        print(f"{count} one by one:  {time.perf_counter() - started:6.2f} s")
        started = time.perf_counter()
        await asyncio.gather(*(client.get(url) for _ in range(count)))
        print(f"{count} all at once: {time.perf_counter() - started:6.2f} s")


asyncio.run(main())

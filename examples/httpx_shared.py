"""One AsyncClient shared by parallel requests: as many connections as requests run at once, not one per request."""

import asyncio
import sys

import httpx

url = sys.argv[1]
count = int(sys.argv[2]) if len(sys.argv) > 2 else 200


async def main() -> None:
    at_a_time = asyncio.Semaphore(10)
    async with httpx.AsyncClient() as client:

        async def fetch() -> None:
            async with at_a_time:
                await client.get(url)

        await asyncio.gather(*(fetch() for _ in range(count)))


asyncio.run(main())

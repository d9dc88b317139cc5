"""asyncio.gather over coroutines that each open a client: the same host, at the same time, again and again."""

import asyncio
import os

import httpx

URL = os.environ["URL"]


async def price(sku):
    async with httpx.AsyncClient(timeout=5) as client:  # here
        return (await client.get(f"{URL}/slow/5/{sku}")).status_code


async def main():
    for start in range(0, 60, 10):
        await asyncio.gather(*(price(n) for n in range(start, start + 10)))


asyncio.run(main())

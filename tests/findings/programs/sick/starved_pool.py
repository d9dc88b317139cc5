"""Forty coroutines at a time share a client that is limited to two connections."""

import asyncio
import os

import httpx

URL = os.environ["URL"]


async def main():
    limits = httpx.Limits(max_connections=2)
    async with httpx.AsyncClient(base_url=URL, limits=limits, timeout=30) as client:  # or here

        async def order(number):
            return (await client.get(f"/slow/70/{number}")).status_code  # or here

        await asyncio.gather(*(order(n) for n in range(40)))


asyncio.run(main())

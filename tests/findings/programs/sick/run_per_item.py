"""A synchronous wrapper around async code: each item has its own event loop and client."""

import asyncio
import os

import httpx

URL = os.environ["URL"]


async def _order(number):
    async with httpx.AsyncClient(base_url=URL) as client:  # here
        return (await client.get(f"/fixed/{number}")).status_code


def order(number):
    return asyncio.run(_order(number))


for number in range(40):
    order(number)

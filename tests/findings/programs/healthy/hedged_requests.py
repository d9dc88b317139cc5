"""Hedging: if an answer is late, the same request is sent again, and the slower of the two is cancelled."""

import asyncio
import os

import httpx

URL = os.environ["URL"]


async def hedged(client: httpx.AsyncClient, user: int) -> httpx.Response:
    first = asyncio.create_task(client.get(f"/slow/{(2, 30 + 7 * (user % 5), 150)[user % 3]}/{user}"))
    done, _ = await asyncio.wait({first}, timeout=0.02)
    if done:
        return first.result()
    second = asyncio.create_task(client.get(f"/slow/{5 + 11 * (user % 4)}/{user}"))
    done, late = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return done.pop().result()


async def main() -> None:
    async with httpx.AsyncClient(base_url=URL) as client:
        for user in range(24):
            assert (await hedged(client, user)).is_success


asyncio.run(main())

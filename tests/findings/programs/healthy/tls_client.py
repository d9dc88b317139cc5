"""One httpx.Client over https with its own CA file, and one aiohttp session with the same context."""

import asyncio
import os
import ssl

import aiohttp
import httpx

URL = os.environ["TLS_URL"]
context = ssl.create_default_context(cafile=os.environ["CA"])

with httpx.Client(base_url=URL, verify=context) as client:
    for n in range(25):
        client.get(f"/fixed/{n}")


async def main() -> None:
    connector = aiohttp.TCPConnector(ssl=context, keepalive_timeout=30)
    async with aiohttp.ClientSession(URL, connector=connector) as session:

        async def one(n: int) -> bytes:
            async with session.get(f"/slow/5/{n}") as answer:
                return await answer.read()

        for burst in range(5):
            await asyncio.gather(*(one(n) for n in range(burst * 8, burst * 8 + 8)))


asyncio.run(main())

"""A shared aiohttp session with force_close=True, copied from an answer on the web."""

import asyncio
import os

import aiohttp

URL = os.environ["URL"]


async def main():
    connector = aiohttp.TCPConnector(force_close=True)  # or here
    async with aiohttp.ClientSession(URL, connector=connector) as session:  # or here
        for number in range(60):
            async with session.get(f"/fixed/{number}") as answer:  # or here
                await answer.read()


asyncio.run(main())

"""A lambda that builds an aiohttp session for each call."""

import asyncio
import os

import aiohttp

URL = os.environ["URL"]
open_session = lambda: aiohttp.ClientSession(URL)  # or here


async def order(number):
    async with open_session() as session, session.get(f"/fixed/{number}") as answer:  # here
        return await answer.text()


async def main():
    for number in range(40):
        await order(number)


asyncio.run(main())

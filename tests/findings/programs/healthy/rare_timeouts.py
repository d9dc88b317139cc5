"""A deadline that is missed now and then: one answer in twenty does not come, and the call falls back to a default."""

import asyncio
import os

import aiohttp

URL = os.environ["URL"]


async def recommend(session: aiohttp.ClientSession, user: int) -> str:
    path = "silence" if user % 20 == 7 else "slow/2"
    try:
        async with asyncio.timeout(0.4):
            async with session.get(f"/{path}/{user}") as answer:
                return await answer.text()
    except TimeoutError:
        return "bestsellers"


async def main() -> None:
    async with aiohttp.ClientSession(URL) as session:
        answers = [await recommend(session, user) for user in range(60)]
    assert answers.count("bestsellers") >= 3


asyncio.run(main())

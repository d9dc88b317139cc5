"""A deadline that is missed now and then: one answer in twenty is slow, and the call falls back to a default."""

import asyncio
import os

import aiohttp

URL = os.environ["URL"]


async def recommend(session: aiohttp.ClientSession, user: int) -> str:
    pause = 400 if user % 20 == 7 else 2
    try:
        async with asyncio.timeout(0.15):
            async with session.get(f"/slow/{pause}/{user}") as answer:
                return await answer.text()
    except TimeoutError:
        return "bestsellers"


async def main() -> None:
    async with aiohttp.ClientSession(URL) as session:
        answers = [await recommend(session, user) for user in range(60)]
    assert answers.count("bestsellers") >= 3


asyncio.run(main())

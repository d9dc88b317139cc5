"""An aiohttp session with a few REST calls and a WebSocket beside them."""

import asyncio
import os

import aiohttp

URL = os.environ["URL"]


async def ticker(session: aiohttp.ClientSession) -> int:
    async with session.ws_connect("/ticker/10") as socket:
        return len([message async for message in socket if message.type is aiohttp.WSMsgType.TEXT])


async def main() -> None:
    async with aiohttp.ClientSession(URL) as session:
        listening = asyncio.create_task(ticker(session))
        for n in range(10):
            async with session.get(f"/fixed/{n}") as answer:
                await answer.read()
        assert await listening == 10
        assert await ticker(session) == 10


asyncio.run(main())

"""Long polling with aiohttp: the server answers late, or the client times out and asks again."""

import asyncio
import os

import aiohttp

URL = os.environ["URL"]


class Updates:
    """An async iterator over the server's messages."""

    def __init__(self, session: aiohttp.ClientSession, polls: int) -> None:
        self.session, self.left, self.offset = session, polls, 0

    def __aiter__(self) -> "Updates":
        return self

    async def __anext__(self) -> str:
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        self.offset += 1
        async with self.session.get("/slow/120/updates", params={"offset": self.offset}) as answer:
            return await answer.text()


async def main() -> None:
    async with aiohttp.ClientSession(URL, timeout=aiohttp.ClientTimeout(total=None, sock_read=60)) as session:
        async for _ in Updates(session, 8):
            async with session.post("/upload/ack", json={"ok": True}):
                pass


asyncio.run(main())

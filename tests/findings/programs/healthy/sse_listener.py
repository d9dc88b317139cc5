"""An event stream, read as an async generator and closed when the listener has seen enough."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx

URL = os.environ["URL"]


async def events(client: httpx.AsyncClient, topic: str) -> AsyncGenerator[str, None]:
    async with client.stream("GET", f"/events/20/5/{topic}", timeout=httpx.Timeout(5, read=None)) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                yield line[5:].strip()


async def main() -> None:
    async with httpx.AsyncClient(base_url=URL) as client:
        seen = 0
        async with aclosing(events(client, "orders")) as stream:
            async for _ in stream:
                seen += 1
        async with aclosing(events(client, "prices")) as stream:
            async for _ in stream:
                seen += 1
                if seen >= 25:
                    break
        for n in range(10):
            await client.get(f"/fixed/{n}")


asyncio.run(main())

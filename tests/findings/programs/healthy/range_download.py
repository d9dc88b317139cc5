"""One big file in parallel ranges: eight parts, four at a time, one aiohttp session."""

import asyncio
import os

import aiohttp

URL = os.environ["URL"]
SIZE, PARTS = 400_000, 8


async def part(session: aiohttp.ClientSession, gate: asyncio.Semaphore, start: int, end: int) -> bytes:
    async with gate, session.get(f"/part/{SIZE}", headers={"Range": f"bytes={start}-{end - 1}"}) as answer:
        assert answer.status == 206
        return await answer.read()


async def main() -> None:
    gate = asyncio.Semaphore(4)
    step = SIZE // PARTS
    async with aiohttp.ClientSession(URL, timeout=aiohttp.ClientTimeout(total=10)) as session:
        async with session.head(f"/part/{SIZE}") as head:
            assert int(head.headers["Content-Length"]) == SIZE
        parts = await asyncio.gather(*(part(session, gate, k * step, (k + 1) * step) for k in range(PARTS)))
    assert len(b"".join(parts)) == SIZE


asyncio.run(main())

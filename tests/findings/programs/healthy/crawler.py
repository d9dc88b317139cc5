"""An aiohttp crawler: a queue, five workers, a connection limit per host, visited pages remembered."""

import asyncio
import os

import aiohttp

HOSTS = os.environ["HOSTS"].split()


async def worker(session: aiohttp.ClientSession, queue: "asyncio.Queue[str]", seen: set[str]) -> None:
    while True:
        url = await queue.get()
        try:
            async with session.get(url) as answer:
                page = await answer.json()
            for item in page["items"]:
                link = f"{url.rsplit('/', 3)[0]}/page/0/{item}"
                if link not in seen and len(seen) < 80:
                    seen.add(link)
                    queue.put_nowait(link)
        finally:
            queue.task_done()


async def main() -> None:
    queue: asyncio.Queue[str] = asyncio.Queue()
    seen: set[str] = set()
    connector = aiohttp.TCPConnector(limit=20, limit_per_host=5)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=5)) as session:
        workers = [asyncio.create_task(worker(session, queue, seen)) for _ in range(5)]
        for host in HOSTS:
            queue.put_nowait(f"{host}/page/0/index")
        await queue.join()
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


asyncio.run(main())

"""A worker that gets SIGTERM: it finishes its requests, closes its client, and exits with 0."""

import asyncio
import os
import signal

import httpx

URL = os.environ["URL"]


async def main() -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    async with httpx.AsyncClient(base_url=URL, timeout=5) as client:
        loop.call_later(0.3, os.kill, os.getpid(), signal.SIGTERM)

        async def consume(queue: int) -> int:
            done = 0
            while not stopping.is_set():
                await client.get(f"/slow/10/{queue}/{done}")
                done += 1
            return done

        async with asyncio.TaskGroup() as group:
            for queue in range(3):
                group.create_task(consume(queue))


asyncio.run(main())

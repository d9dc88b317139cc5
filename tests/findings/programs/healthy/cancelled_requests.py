"""A search box: every keystroke cancels the search before it; the last answer counts."""

import asyncio
import contextlib
import itertools
import os

import httpx

URL = os.environ["URL"]
pauses = itertools.cycle((0.005, 0.08, 0.03))  # nobody types like a metronome


class SearchBox:
    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.running: asyncio.Task[httpx.Response] | None = None

    async def typed(self, text: str) -> None:
        if self.running is not None and not self.running.done():
            self.running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.running
        self.running = asyncio.create_task(self.client.get(f"/slow/150/{text}"))


async def main() -> None:
    async with httpx.AsyncClient(base_url=URL) as client:
        box = SearchBox(client)
        for word in ("kettle", "toaster", "lamp"):
            for length in range(1, len(word) + 1):
                await box.typed(word[:length])
                await asyncio.sleep(next(pauses))
            assert box.running is not None
            await box.running


asyncio.run(main())

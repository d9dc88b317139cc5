"""A command-line tool: each command is one asyncio.run with its own client; the user ran two."""

import asyncio
import os
from collections.abc import Callable, Coroutine

import httpx

URL = os.environ["URL"]
COMMANDS: dict[str, Callable[..., Coroutine[None, None, None]]] = {}


def command(work: Callable[..., Coroutine[None, None, None]]) -> Callable[..., Coroutine[None, None, None]]:
    async def wrapper(*args: str) -> None:
        async with httpx.AsyncClient(base_url=URL, timeout=5) as client:
            await work(client, *args)

    COMMANDS[work.__name__] = wrapper
    return wrapper


@command
async def pull(client: httpx.AsyncClient, name: str) -> None:
    async with asyncio.TaskGroup() as group:
        for layer in range(6):
            group.create_task(client.get(f"/size/20000/{name}{layer}"))


@command
async def push(client: httpx.AsyncClient, name: str) -> None:
    for layer in range(4):
        await client.put(f"/upload/{name}{layer}", content=b"x" * 50_000)


for line in ("pull shop", "push shop"):
    name, *args = line.split()
    asyncio.run(COMMANDS[name](*args))

"""Passes connections on, each from an address of its own, so that a server's log tells them apart for certain.

A port does not: on loopback Linux gives it to another connection to the same server one second after the first is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def own_addresses(*servers: int) -> Iterator[list[int]]:
    """A port for each of the ``servers``' ports, to be called instead."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    numbers = itertools.count(1)
    doors = [socket.create_server(("127.0.0.1", 0)) for _ in servers]
    try:
        for door, port in zip(doors, servers, strict=True):
            asyncio.run_coroutine_threadsafe(_serve(door, port, numbers), loop).result(10)
        yield [door.getsockname()[1] for door in doors]
    finally:
        asyncio.run_coroutine_threadsafe(_end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
        for door in doors:
            door.close()


async def _serve(door: socket.socket, port: int, numbers: Iterator[int]) -> None:
    async def take(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        number = next(numbers)
        source = f"127.{1 + number // 65_536}.{number // 256 % 256}.{number % 256}"
        server, to_server = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
        await asyncio.gather(_copy(client, to_server), _copy(server, to_client))

    await asyncio.start_server(take, sock=door)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.CancelledError):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    target.close()


async def _end() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)

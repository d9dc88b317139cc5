"""Programs that are sick, and the same fixed: what the findings promise is held against the difference.

    python -m bench.pair_programs PROGRAM sick|fixed URL REQUESTS [watch]

It prints the seconds that the requests took, the saving that PS101 promises (with ``watch``), and the quickest connect.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import httpx
import requests

SIDE_BY_SIDE = 8


def requests_get(url: str, number: int) -> None:
    for _ in range(number):
        requests.get(url, timeout=30)


def requests_shared(url: str, number: int) -> None:
    with requests.Session() as session:
        for _ in range(number):
            session.get(url, timeout=30)


def requests_session(url: str, number: int) -> None:
    for _ in range(number):
        with requests.Session() as session:
            session.get(url, timeout=30)


def httpx_get(url: str, number: int) -> None:
    for _ in range(number):
        httpx.get(url)


def httpx_client(url: str, number: int) -> None:
    for _ in range(number):
        with httpx.Client() as client:
            client.get(url)


def httpx_shared(url: str, number: int) -> None:
    with httpx.Client() as client:
        for _ in range(number):
            client.get(url)


def threads(url: str, number: int) -> None:
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        list(pool.map(lambda _: requests.get(url, timeout=30), range(number)))


def threads_shared(url: str, number: int) -> None:
    with requests.Session() as session, ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        list(pool.map(lambda _: session.get(url, timeout=30), range(number)))


def tasks(url: str, number: int) -> None:
    async def work(left: Any) -> None:
        for _ in left:
            async with httpx.AsyncClient() as client:
                await client.get(url)

    async def main() -> None:
        left = iter(range(number))
        await asyncio.gather(*(work(left) for _ in range(SIDE_BY_SIDE)))

    asyncio.run(main())


def tasks_shared(url: str, number: int) -> None:
    async def work(client: httpx.AsyncClient, left: Any) -> None:
        for _ in left:
            await client.get(url)

    async def main() -> None:
        left = iter(range(number))
        async with httpx.AsyncClient() as client:
            await asyncio.gather(*(work(client, left) for _ in range(SIDE_BY_SIDE)))

    asyncio.run(main())


PAIRS: dict[str, tuple[Callable[[str, int], None], Callable[[str, int], None]]] = {
    "requests.get": (requests_get, requests_shared),
    "requests.Session": (requests_session, requests_shared),
    "httpx.get": (httpx_get, httpx_shared),
    "httpx.Client": (httpx_client, httpx_shared),
    "requests.get, 8 threads": (threads, threads_shared),
    "httpx.AsyncClient, 8 tasks": (tasks, tasks_shared),
}


def run(name: str, variant: str, url: str, number: int, watch: bool) -> dict[str, float | None]:
    """Run one of them and say what it took."""
    program = PAIRS[name][variant == "fixed"]
    seen: Any = None
    if watch:
        from poolscope import testing

        seen = testing.capture()
    with seen or nullcontext():
        began = time.perf_counter()
        program(url, number)
        took = time.perf_counter() - began
    if seen is None:
        return {"took": took}
    found = next((finding for finding in seen.findings if finding.code == "PS101"), None)
    connects = [one.setup["connect"].duration for one in seen.connections if "connect" in one.setup]
    return {"took": took, "saving": None if found is None else found.saving, "connect": min(connects)}


if __name__ == "__main__":
    name, variant, url, number, *watch = sys.argv[1:]
    print(json.dumps(run(name, variant, url, int(number), bool(watch))))

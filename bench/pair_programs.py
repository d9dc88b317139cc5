"""Programs with a habit, and the same programs fixed: the difference is compared with what the findings promise.

    python -m bench.pair_programs PROGRAM sick|fixed URL REQUESTS [watch]

Prints the seconds that the requests took, the saving that PS101 promises (with ``watch``), and the quickest connect.
For an https URL, the bundle that SSL_CERT_FILE and REQUESTS_CA_BUNDLE name must contain the server's certificate.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import ssl
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import httpx
import requests
import urllib3

SIDE_BY_SIDE = 8

Make = Callable[[], AbstractContextManager[Any]]
"""Builds a client to share."""
Send = Callable[[str], object]
"""Sends a request with its own client."""


class Pause(NamedTuple):
    """The range of a program's pauses between two requests."""

    least: float = 0.0
    most: float = 0.0

    def __str__(self) -> str:
        return f"{self.least:g} s" if self.least == self.most else f"{self.least:g}–{self.most:g} s"

    def draw(self, number: int) -> float:
        """The ``number``-th pause; the sick and the fixed program pause equally long."""
        return random.Random(number).uniform(self.least, self.most)


NONE = Pause()
SHORT = Pause(0.15, 0.15)
LONG = Pause(0.4, 0.8)


class Pair(NamedTuple):
    """One program, sick and fixed, and whether it needs an https URL."""

    sick: Callable[[str, int], None]
    fixed: Callable[[str, int], None]
    https: bool = False


# One after the other


def _alone(send: Send, url: str, number: int, pause: Pause) -> None:
    for each in range(number):
        send(url)
        time.sleep(pause.draw(each))


def alone(send: Send, make: Make, pause: Pause = NONE, https: bool = False) -> Pair:
    def fixed(url: str, number: int) -> None:
        with make() as client:
            _alone(_get_of(client), url, number, pause)

    return Pair(lambda url, number: _alone(send, url, number, pause), fixed, https)


def _get_of(client: Any) -> Send:
    return (lambda url: client.request("GET", url)) if hasattr(client, "connection_from_url") else client.get


# Side by side


def _in_threads(send: Send, url: str, number: int, pause: Pause) -> None:
    def one(each: int) -> None:
        send(url)
        time.sleep(pause.draw(each))

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        list(pool.map(one, range(number)))


def in_threads(pause: Pause = NONE, https: bool = False) -> Pair:
    def fixed(url: str, number: int) -> None:
        with requests.Session() as session:
            _in_threads(session.get, url, number, pause)

    return Pair(lambda url, number: _in_threads(requests.get, url, number, pause), fixed, https)


def _in_tasks(send: Callable[[str], Any], url: str, number: int, pause: Pause) -> Any:
    async def work(left: Any) -> None:
        for each in left:
            await send(url)
            await asyncio.sleep(pause.draw(each))

    left = iter(range(number))
    return asyncio.gather(*(work(left) for _ in range(SIDE_BY_SIDE)))


def in_tasks(pause: Pause = NONE, https: bool = False) -> Pair:
    async def send(url: str) -> None:
        async with httpx.AsyncClient() as client:
            await client.get(url)

    async def sick(url: str, number: int) -> None:
        await _in_tasks(send, url, number, pause)

    async def fixed(url: str, number: int) -> None:
        async with httpx.AsyncClient() as client:
            await _in_tasks(client.get, url, number, pause)

    return Pair(
        lambda url, number: asyncio.run(sick(url, number)),
        lambda url, number: asyncio.run(fixed(url, number)),
        https,
    )


# The programs


def _context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])


def _by_session(url: str) -> None:
    with requests.Session() as session:
        session.get(url)


def _by_client(url: str) -> None:
    with httpx.Client() as client:
        client.get(url)


def _client_with_context() -> httpx.Client:
    return httpx.Client(verify=_context())


def _by_client_with_context(url: str) -> None:
    with _client_with_context() as client:
        client.get(url)


def _manager_with_context() -> urllib3.PoolManager:
    return urllib3.PoolManager(ssl_context=_context())


def _by_manager_with_context(url: str) -> None:
    with _manager_with_context() as pool:
        pool.request("GET", url)


THREADS, TASKS = f"requests.get, {SIDE_BY_SIDE} threads", f"httpx.AsyncClient, {SIDE_BY_SIDE} tasks"
PAIRS: dict[str, Pair] = {
    "requests.get": alone(requests.get, requests.Session),
    "requests.Session": alone(_by_session, requests.Session),
    "httpx.get": alone(httpx.get, httpx.Client),
    "httpx.Client": alone(_by_client, httpx.Client),
    "requests.get, https": alone(requests.get, requests.Session, https=True),
    "httpx.Client, https": alone(_by_client, httpx.Client, https=True),
    "httpx.Client, https, own context": alone(_by_client_with_context, _client_with_context, https=True),
    "urllib3.PoolManager, https, own context": alone(
        _by_manager_with_context, _manager_with_context, https=True
    ),
    f"requests.get, pauses of {SHORT}": alone(requests.get, requests.Session, SHORT),
    f"httpx.Client, pauses of {SHORT}": alone(_by_client, httpx.Client, SHORT),
    f"requests.get, https, pauses of {LONG}": alone(requests.get, requests.Session, LONG, https=True),
    THREADS: in_threads(),
    f"{THREADS}, https": in_threads(https=True),
    f"{THREADS}, pauses of {SHORT}": in_threads(SHORT),
    f"{THREADS}, pauses of {LONG}": in_threads(LONG),
    TASKS: in_tasks(),
    f"{TASKS}, https": in_tasks(https=True),
    f"{TASKS}, pauses of {SHORT}": in_tasks(SHORT),
    f"{TASKS}, pauses of {LONG}": in_tasks(LONG),
}


def run(name: str, variant: str, url: str, number: int, watch: bool) -> dict[str, float | None]:
    """Run one of them and print what it took."""
    pair = PAIRS[name]
    program = pair.fixed if variant == "fixed" else pair.sick
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

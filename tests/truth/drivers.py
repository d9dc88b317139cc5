"""Every library and concurrency style behind one interface: each gets jobs and keeps some of them in flight.

Failures that the server caused are part of the load; any other exception of a client fails the test.
"""

from __future__ import annotations

import asyncio
import importlib
import ssl
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import aiohttp
import requests
import requests.adapters
import trio
import urllib3
from requests.auth import HTTPDigestAuth
from urllib3.contrib.socks import SOCKSProxyManager

from tests.truth.workload import Job

PATIENCE = 8.0
"""Seconds that a request may take if it is not meant to fail."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a driver gets: the address, the jobs, and how many at a time."""

    origin: str
    jobs: Iterable[Job]
    in_flight: int
    small_pool: bool = False
    """Whether the pool is smaller than ``in_flight``, so that requests wait."""
    authority: str | None = None
    """The authority to trust; None where nothing uses TLS."""
    proxy: str | None = None
    http2: bool = False


_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts no authority, and is made once: loading certificates for every client would be most of the load."""


def _httpx_settings(module: Any, load: Load) -> dict[str, Any]:
    # httpcore counts every connection against the idle limit, so a low limit leaves hardly any reuse to check.
    most, idle = (8, 8) if load.small_pool else (load.in_flight, load.in_flight - 8)
    trust = ssl.create_default_context(cafile=load.authority) if load.authority else _NOBODY
    return {
        "http1": not load.http2,
        "http2": load.http2,
        "limits": module.Limits(max_connections=most, max_keepalive_connections=idle, keepalive_expiry=60),
        "proxy": load.proxy,
        "verify": trust,
        "timeout": PATIENCE,
        "follow_redirects": True,
        "trust_env": False,
    }


def _httpx_arguments(module: Any, job: Job) -> dict[str, Any]:
    if job.action == "time_out":
        return {"timeout": module.Timeout(PATIENCE, read=job.patience)}
    if job.action == "digest":
        return {"auth": module.DigestAuth("user", "password")}
    return {}


def httpx_threads(module: Any, load: Load) -> None:
    with module.Client(**_httpx_settings(module, load)) as client:

        def perform(job: Job) -> None:
            try:
                with client.stream(
                    "GET", load.origin + job.path, **_httpx_arguments(module, job)
                ) as response:
                    if job.action != "leave":
                        response.read()
            except module.HTTPError:
                pass

        with ThreadPoolExecutor(load.in_flight) as threads:
            for _ in threads.map(perform, load.jobs):
                pass


async def _httpx_perform(module: Any, client: Any, origin: str, job: Job) -> None:
    try:
        async with client.stream("GET", origin + job.path, **_httpx_arguments(module, job)) as response:
            if job.action != "leave":
                await response.aread()
    except module.HTTPError:
        pass


def httpx_asyncio(module: Any, load: Load) -> None:
    async def work(client: Any, waiting: Any) -> None:
        for job in waiting:
            performance = _httpx_perform(module, client, load.origin, job)
            if job.action != "cancel":
                await performance
                continue
            try:
                async with asyncio.timeout(job.patience):
                    await performance
            except TimeoutError:
                pass

    async def main() -> None:
        waiting = iter(load.jobs)
        async with module.AsyncClient(**_httpx_settings(module, load)) as client:
            await asyncio.gather(*(work(client, waiting) for _ in range(load.in_flight)))

    asyncio.run(main())


def httpx_trio(module: Any, load: Load) -> None:
    async def work(client: Any, waiting: Any) -> None:
        for job in waiting:
            with trio.move_on_after(job.patience if job.action == "cancel" else float("inf")):
                await _httpx_perform(module, client, load.origin, job)

    async def main() -> None:
        waiting = iter(load.jobs)
        async with (
            module.AsyncClient(**_httpx_settings(module, load)) as client,
            trio.open_nursery() as nursery,
        ):
            for _ in range(load.in_flight):
                nursery.start_soon(work, client, waiting)

    trio.run(main)


def requests_threads(load: Load) -> None:
    retries = urllib3.Retry(total=2, status=2, connect=0, read=0, status_forcelist=[503], redirect=0)
    size = 4 if load.small_pool else 8
    with requests.Session() as session:
        session.trust_env = False
        adapter = requests.adapters.HTTPAdapter(2, size, retries, pool_block=load.small_pool)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        session.verify = load.authority or True
        session.proxies = {"all": load.proxy} if load.proxy else {}

        def perform(job: Job) -> None:
            timeout = (PATIENCE, job.patience or PATIENCE)
            auth = HTTPDigestAuth("user", "password") if job.action == "digest" else None
            try:
                with session.get(load.origin + job.path, timeout=timeout, stream=True, auth=auth) as response:
                    if job.action != "leave":
                        _ = response.content
            except requests.RequestException:
                pass

        with ThreadPoolExecutor(load.in_flight) as threads:
            for _ in threads.map(perform, load.jobs):
                pass


def _manager(proxy: str | None, settings: dict[str, Any]) -> urllib3.PoolManager:
    if proxy is None:
        return urllib3.PoolManager(**settings)
    if proxy.startswith("socks"):
        return SOCKSProxyManager(proxy, **settings)
    return urllib3.ProxyManager(proxy, **settings)


def urllib3_threads(load: Load) -> None:
    retries = urllib3.Retry(total=4, status=2, connect=0, read=0, redirect=2, status_forcelist=[503])
    size = 4 if load.small_pool else 8
    settings = {"maxsize": size, "block": load.small_pool, "retries": retries, "ca_certs": load.authority}
    with _manager(load.proxy, settings) as manager:

        def perform(job: Job) -> None:
            timeout = urllib3.Timeout(connect=PATIENCE, read=job.patience or PATIENCE)
            leave = job.action == "leave"
            try:
                response = manager.request(
                    "GET", load.origin + job.path, timeout=timeout, preload_content=not leave
                )
                response.close()
                response.release_conn()
            except urllib3.exceptions.HTTPError:
                pass

        with ThreadPoolExecutor(load.in_flight) as threads:
            for _ in threads.map(perform, load.jobs):
                pass


def _aiohttp_middlewares(job: Job) -> dict[str, Any]:
    # aiohttp answers a digest challenge from 3.12 on.
    if job.action == "digest" and hasattr(aiohttp, "DigestAuthMiddleware"):
        return {"middlewares": (aiohttp.DigestAuthMiddleware("user", "password"),)}
    return {}


async def _aiohttp_perform(session: aiohttp.ClientSession, load: Load, job: Job) -> None:
    timeout = aiohttp.ClientTimeout(PATIENCE, sock_read=job.patience or PATIENCE)
    if job.action == "cancel":
        timeout = aiohttp.ClientTimeout(PATIENCE)
    try:
        async with session.get(
            load.origin + job.path, timeout=timeout, proxy=load.proxy, **_aiohttp_middlewares(job)
        ) as response:
            if job.action != "leave":
                await response.read()
    except (aiohttp.ClientError, TimeoutError):
        pass


def aiohttp_asyncio(load: Load) -> None:
    async def work(session: aiohttp.ClientSession, waiting: Any) -> None:
        for job in waiting:
            performance = _aiohttp_perform(session, load, job)
            if job.action != "cancel":
                await performance
                continue
            try:
                async with asyncio.timeout(job.patience):
                    await performance
            except TimeoutError:
                pass

    async def main() -> None:
        waiting = iter(load.jobs)
        trust = ssl.create_default_context(cafile=load.authority) if load.authority else True
        connector = aiohttp.TCPConnector(limit=8 if load.small_pool else load.in_flight, ssl=trust)
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(work(session, waiting) for _ in range(load.in_flight)))

    asyncio.run(main())


@dataclass(frozen=True, slots=True)
class Driver:
    """A library in one concurrency style."""

    library: str
    style: str
    run: Callable[[Load], None]

    @property
    def cancellable(self) -> bool:
        return self.style != "threads"

    def __str__(self) -> str:
        return f"{self.library}-{self.style}"


def _of_httpx(name: str, run: Callable[[Any, Load], None]) -> Driver:
    return Driver(
        name, run.__name__.removeprefix("httpx_"), lambda load: run(importlib.import_module(name), load)
    )


DRIVERS = [
    Driver("urllib3", "threads", urllib3_threads),
    Driver("requests", "threads", requests_threads),
    Driver("aiohttp", "asyncio", aiohttp_asyncio),
    *(
        _of_httpx(name, run)
        for name in ("httpx", "httpx2")
        for run in (httpx_threads, httpx_asyncio, httpx_trio)
    ),
]

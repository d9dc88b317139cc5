"""One client at a time, with the same few moves for every library and style; used by the tests of close reasons.

Asynchronous clients run on a loop in a thread (anyio's portal), so that a test can stop between two moves
while their connections stay open.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import ssl
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from types import TracebackType
from typing import Any

import aiohttp
import requests
import requests.adapters
import urllib3
from anyio.from_thread import start_blocking_portal

PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Options:
    """How to build the client; a library ignores what it has no option for."""

    max_connections: int = 10
    max_idle: int = 10
    keepalive_expiry: float | None = 60.0
    num_pools: int = 10
    trust: ssl.SSLContext | None = None
    http2: bool = False
    proxy: str | None = None


class Probe:
    """A client and its moves. A move that the library refuses returns the error's class name."""

    tags: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.client: Any = None
        self._stack = ExitStack()
        self._threads = self._stack.enter_context(ThreadPoolExecutor(4))

    def __enter__(self) -> Probe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.client is not None:
            self.close()
        self._stack.close()

    def build(self, options: Options) -> None:
        raise NotImplementedError

    def begin(self, move: Callable[[], Any]) -> Future[Any]:
        """Start a move; asynchronous ones are cancelled by cancelling the future."""
        return self._threads.submit(move)

    def run(self, move: Callable[[], Any]) -> Any:
        return move()

    def get(self, url: str, **options: Any) -> str | None:
        """Request and read everything; the class name of the exception, or None."""
        try:
            self.run(self.getting(url, **options))
        except Exception as error:
            return type(error).__name__
        return None

    def getting(
        self,
        url: str,
        timeout: float = PATIENCE,
        headers: dict[str, str] | None = None,
        body: Iterable[bytes] | None = None,
    ) -> Callable[[], Any]:
        """The move that `get` makes, for the test to start."""
        raise NotImplementedError

    def open(self, url: str, headers: dict[str, str] | None = None) -> Any:
        """Request and stop after the headers; the response is for `read` or `leave`."""
        raise NotImplementedError

    def read(self, response: Any) -> str | None:
        """Read the rest; the class name of the exception, or None."""
        try:
            self.run(self.reading(response))
        except Exception as error:
            return type(error).__name__
        return None

    def reading(self, response: Any) -> Callable[[], Any]:
        raise NotImplementedError

    def leave(self, response: Any) -> None:
        """Close the response unread."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def drop(self) -> None:
        """Forget the client without closing it."""
        self.client = None
        gc.collect()


def _word_for_proxy(library: str) -> str:
    """httpx 0.25 has only the plural."""
    parameters = inspect.signature(importlib.import_module(library).Client).parameters
    return "proxy" if "proxy" in parameters else "proxies"


_WORDS = {library: _word_for_proxy(library) for library in ("httpx", "httpx2") if find_spec(library)}
"""Looked up before a test replaces the constructor."""


class Httpx(Probe):
    """httpx and httpx2; ``backend`` is None for the synchronous client."""

    def __init__(self, library: str, backend: str | None) -> None:
        super().__init__()
        self.module = importlib.import_module(library)
        self.tags = frozenset({"httpx", library, "async" if backend else "sync", backend or "threads"})
        self.portal = self._stack.enter_context(start_blocking_portal(backend)) if backend else None

    def build(self, options: Options) -> None:
        limits = self.module.Limits(
            max_connections=options.max_connections,
            max_keepalive_connections=options.max_idle,
            keepalive_expiry=options.keepalive_expiry,
        )
        kind = self.module.AsyncClient if self.portal else self.module.Client
        verify = options.trust or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        proxy = _WORDS[self.module.__name__]
        self.client = kind(
            limits=limits,
            verify=verify,
            http1=not options.http2,
            http2=options.http2,
            **{proxy: options.proxy},
        )

    def begin(self, move: Callable[[], Any]) -> Future[Any]:
        return self.portal.start_task_soon(move) if self.portal else super().begin(move)

    def run(self, move: Callable[[], Any]) -> Any:
        return self.portal.call(move) if self.portal else move()

    def getting(
        self,
        url: str,
        timeout: float = PATIENCE,
        headers: dict[str, str] | None = None,
        body: Iterable[bytes] | None = None,
    ) -> Callable[[], Any]:
        if body is None:
            return lambda: self.client.get(url, timeout=timeout, headers=headers)
        content = _asynchronous(body) if self.portal else body
        return lambda: self.client.post(url, timeout=timeout, headers=headers, content=content)

    def open(self, url: str, headers: dict[str, str] | None = None) -> Any:
        request = self.client.build_request("GET", url, timeout=PATIENCE, headers=headers)
        return self.run(lambda: self.client.send(request, stream=True))

    def reading(self, response: Any) -> Callable[[], Any]:
        move: Callable[[], Any] = response.aread if self.portal else response.read
        return move

    def leave(self, response: Any) -> None:
        self.run(response.aclose if self.portal else response.close)

    def close(self) -> None:
        self.run(self.client.aclose if self.portal else self.client.close)
        self.client = None


async def _asynchronous(parts: Iterable[bytes]) -> Any:
    for part in parts:
        yield part


class Requests(Probe):
    tags = frozenset({"urllib3", "requests", "sync"})

    def build(self, options: Options) -> None:
        self.client = requests.Session()
        self.client.trust_env = False
        self.client.proxies = {"all": options.proxy} if options.proxy else {}
        adapter = _TrustingAdapter(options.trust, options.num_pools, options.max_idle)
        self.client.mount("http://", adapter)
        self.client.mount("https://", adapter)

    def getting(
        self,
        url: str,
        timeout: float = PATIENCE,
        headers: dict[str, str] | None = None,
        body: Iterable[bytes] | None = None,
    ) -> Callable[[], Any]:
        method = "GET" if body is None else "POST"
        return lambda: self.client.request(method, url, timeout=timeout, headers=headers, data=body)

    def open(self, url: str, headers: dict[str, str] | None = None) -> Any:
        return self.client.get(url, timeout=PATIENCE, stream=True, headers=headers)

    def reading(self, response: Any) -> Callable[[], Any]:
        return lambda: response.content

    def leave(self, response: Any) -> None:
        response.close()

    def close(self) -> None:
        self.client.close()
        self.client = None
        gc.collect()


class _TrustingAdapter(requests.adapters.HTTPAdapter):
    def __init__(self, trust: ssl.SSLContext | None, pools: int, size: int) -> None:
        self.trust = trust
        super().__init__(pools, size)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self.trust)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return super().proxy_manager_for(*args, **kwargs, ssl_context=self.trust)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """The context decides which authorities are trusted."""


class Urllib3(Probe):
    tags = frozenset({"urllib3", "urllib3 itself", "sync"})

    def build(self, options: Options) -> None:
        common: dict[str, Any] = {
            "num_pools": options.num_pools,
            "maxsize": options.max_idle,
            "ssl_context": options.trust,
        }
        if options.proxy and options.proxy.startswith("socks"):
            from urllib3.contrib.socks import SOCKSProxyManager

            self.client = SOCKSProxyManager(options.proxy, retries=False, **common)
        elif options.proxy:
            self.client = urllib3.ProxyManager(options.proxy, retries=False, **common)
        else:
            self.client = urllib3.PoolManager(retries=False, **common)

    def getting(
        self,
        url: str,
        timeout: float = PATIENCE,
        headers: dict[str, str] | None = None,
        body: Iterable[bytes] | None = None,
    ) -> Callable[[], Any]:
        method = "GET" if body is None else "POST"
        return lambda: self.client.request(method, url, timeout=timeout, headers=headers, body=body)

    def open(self, url: str, headers: dict[str, str] | None = None) -> Any:
        return self.client.request("GET", url, timeout=PATIENCE, headers=headers, preload_content=False)

    def reading(self, response: Any) -> Callable[[], Any]:
        return lambda: response.read()

    def leave(self, response: Any) -> None:
        response.close()

    def close(self) -> None:
        self.client.clear()
        self.client = None
        gc.collect()


class Aiohttp(Probe):
    tags = frozenset({"aiohttp", "async", "asyncio"})

    def __init__(self) -> None:
        super().__init__()
        self.portal = self._stack.enter_context(start_blocking_portal("asyncio"))
        self.proxy: str | None = None

    def build(self, options: Options) -> None:
        self.proxy = options.proxy
        expiry = options.keepalive_expiry

        async def build() -> aiohttp.ClientSession:
            connector = aiohttp.TCPConnector(
                limit=options.max_connections,
                keepalive_timeout=expiry,
                ssl=options.trust or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            )
            return aiohttp.ClientSession(connector=connector)

        self.client = self.portal.call(build)

    def begin(self, move: Callable[[], Any]) -> Future[Any]:
        return self.portal.start_task_soon(_awaited, move)

    def run(self, move: Callable[[], Any]) -> Any:
        return self.portal.call(_awaited, move)

    def getting(
        self,
        url: str,
        timeout: float = PATIENCE,
        headers: dict[str, str] | None = None,
        body: Iterable[bytes] | None = None,
    ) -> Callable[[], Any]:
        method = "GET" if body is None else "POST"
        data = None if body is None else _asynchronous(body)

        async def get() -> None:
            total = aiohttp.ClientTimeout(total=timeout)
            async with self.client.request(
                method, url, timeout=total, headers=headers, data=data, proxy=self.proxy
            ) as response:
                await response.read()

        return get

    def open(self, url: str, headers: dict[str, str] | None = None) -> Any:
        return self.run(lambda: self.client.get(url, headers=headers, proxy=self.proxy))

    def reading(self, response: Any) -> Callable[[], Any]:
        move: Callable[[], Any] = response.read
        return move

    def leave(self, response: Any) -> None:
        async def leave() -> None:
            response.close()

        self.run(leave)

    def close(self) -> None:
        self.run(self.client.close)
        self.run(_abort_the_rest)
        self.client = None


async def _abort_the_rest() -> None:
    """End what a closed session leaves: an abandoned connection first sends the rest of its data."""
    loop = asyncio.get_running_loop()
    for transport in list(getattr(loop, "_transports").values()):
        if transport.get_extra_info("socket").fileno() >= 0:
            transport.abort()
    await asyncio.sleep(0)


async def _awaited(move: Callable[[], Any]) -> Any:
    return await move()


PROBES: dict[str, Callable[[], Probe]] = {
    "urllib3": Urllib3,
    "requests": Requests,
    "httpx-sync": lambda: Httpx("httpx", None),
    "httpx-asyncio": lambda: Httpx("httpx", "asyncio"),
    "httpx-trio": lambda: Httpx("httpx", "trio"),
    "httpx2-sync": lambda: Httpx("httpx2", None),
    "httpx2-asyncio": lambda: Httpx("httpx2", "asyncio"),
    "httpx2-trio": lambda: Httpx("httpx2", "trio"),
    "aiohttp": Aiohttp,
}
"""Every library in every style."""

ALL = list(PROBES)
HTTPX = [name for name in PROBES if name.startswith("httpx")]
HTTPX_ASYNC = [name for name in HTTPX if not name.endswith("-sync")]
ASYNC = [*HTTPX_ASYNC, "aiohttp"]
URLLIB3 = ["urllib3", "requests"]
TRY_AGAIN = {"aiohttp"}
"""Those that send a request once more if the server hangs up, and say so nowhere."""

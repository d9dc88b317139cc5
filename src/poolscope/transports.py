"""Observed transports for httpx and httpx2, and `trace` for existing clients: only these are observed.

`HTTPTransport` and `AsyncHTTPTransport` are httpx's, or httpx2's if only that is installed; the names
ending in 2 are always httpx2's. Spans, metrics and events go where `poolscope.instrument` sends them, or to
the global providers if that was not called. Together with it nothing is counted twice.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final, TypeVar

from poolscope.instrumentor import observe
from poolscope.libraries.aiohttp.session import observe as observe_session
from poolscope.libraries.httpcore import observe_pool
from poolscope.libraries.httpx import observe_client
from poolscope.story.pool import name_for

if TYPE_CHECKING:
    from ssl import SSLContext
    from typing import TypedDict, Unpack

    import httpx
    import httpx2

    class _Options(TypedDict, total=False):
        cert: str | tuple[str, str] | tuple[str, str, str] | None
        trust_env: bool
        http1: bool
        http2: bool
        proxy: Any
        uds: str | None
        local_address: str | None
        retries: int
        socket_options: Any
        limits: Any
        pool_name: str | None

    class HTTPTransport(httpx.HTTPTransport):
        def __init__(self, verify: SSLContext | str | bool = True, **options: Unpack[_Options]) -> None: ...

    class AsyncHTTPTransport(httpx.AsyncHTTPTransport):
        def __init__(self, verify: SSLContext | str | bool = True, **options: Unpack[_Options]) -> None: ...

    class HTTPTransport2(httpx2.HTTPTransport):
        def __init__(self, verify: SSLContext | str | bool = True, **options: Unpack[_Options]) -> None: ...

    class AsyncHTTPTransport2(httpx2.AsyncHTTPTransport):
        def __init__(self, verify: SSLContext | str | bool = True, **options: Unpack[_Options]) -> None: ...


__all__ = ["AsyncHTTPTransport", "AsyncHTTPTransport2", "HTTPTransport", "HTTPTransport2", "trace"]

_T = TypeVar("_T")

_BELOW_HTTPX: Final = ("httpx", "httpx2", "httpcore", "httpcore2", "anyio", "trio")
"""The packages to hook for these objects, if the program has imported them."""


def trace(client: _T, *, pool_name: str | None = None) -> _T:
    """Observe one client that exists already, and return it.

    Takes a client of httpx or httpx2, a ``requests.Session``, an ``aiohttp.ClientSession`` and a urllib3
    ``PoolManager``; raises TypeError for anything else. ``pool_name`` is the name of its pools in metrics and spans;
    the first hundred names are distinguished.
    """
    name = name_for(pool_name)
    if observe_client(client, name):
        observe(*_BELOW_HTTPX)
    elif observe_session(client, name):
        observe("aiohttp")
    elif not _observe_requests_or_urllib3(client, name):
        raise TypeError(
            "poolscope.trace() takes a client of httpx or httpx2, a requests.Session, an aiohttp.ClientSession or a "
            f"urllib3 PoolManager, not {type(client).__name__}"
        )
    return client


def _observe_requests_or_urllib3(client: Any, pool_name: str | None) -> bool:
    if hasattr(client, "connection_from_url"):
        from poolscope.libraries.urllib3 import manager

        manager.observe(client, "urllib3.PoolManager", pool_name=pool_name)
        observe("urllib3")
    elif isinstance(getattr(client, "adapters", None), dict):
        from poolscope.libraries import requests

        requests.observe(client, pool_name)
        observe("requests", "urllib3")
    else:
        return False
    return True


def _observed(base: type[Any]) -> type[Any]:
    class Observed(base):  # type: ignore[misc]
        def __init__(self, *args: Any, pool_name: str | None = None, **options: Any) -> None:
            name = name_for(pool_name)
            super().__init__(*args, **options)
            observe(*_BELOW_HTTPX)
            observe_pool(self._pool, name)

    Observed.__name__ = Observed.__qualname__ = base.__name__
    Observed.__doc__ = f"``{base.__module__.partition('.')[0]}.{base.__name__}`` with observed connections."
    return Observed


def __getattr__(name: str) -> Any:
    """Make a transport class when it is first asked for: the library it extends may not be installed."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name.endswith("2"):
        library = importlib.import_module("httpx2")
    else:
        try:
            library = importlib.import_module("httpx")
        except ImportError:
            library = importlib.import_module("httpx2")
    made = _observed(getattr(library, name.removesuffix("2")))
    made.__module__ = __name__
    globals()[name] = made
    return made

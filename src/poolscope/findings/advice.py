"""The texts of PS101, in the words of each library."""

from __future__ import annotations

from typing import Final

from poolscope.records import CallSite

_IDLE_KEPT: Final = {"requests": 10, "urllib3": 1, "httpx": 20, "httpx2": 20}
"""Idle connections that each library's client keeps by default: per origin, or httpx for all."""
_SERVERS_KEPT: Final = {"requests": 10, "urllib3": 10}
"""Servers that a client keeps connections to by default."""


def sentence(kind: str, clients: int, calls: int, origin: str) -> str:
    """What happened, in one sentence."""
    _, name = _split(kind)
    after = _requests(calls / clients)
    if _is_class(name):
        return f"{kind} was built {clients:,} times, and thrown away with its connection after {after} to {origin}."
    return (
        f"{clients:,} calls of {kind}() to {origin} each built a client, connected, "
        f"and threw both away after {after}."
    )


def _requests(each: float) -> str:
    return "1 request" if each <= 1 else "1 or 2 requests" if each <= 2 else f"{each:.0f} requests"


def fix(kind: str, sdk: CallSite | None, peak: int, servers: int = 1) -> str:
    """What to change; names the pool size if the default is too small for ``peak`` requests in flight and all servers."""
    library, name = _split(kind)
    return _what(kind, library, name, sdk) + _size(library, peak, servers)


def _split(kind: str) -> tuple[str, str]:
    library, _, name = kind.partition(".")
    return library, name.rpartition(".")[2]


def _is_class(name: str) -> bool:
    """``Session``, not ``get``."""
    return name[:1].isupper()


def _what(kind: str, library: str, name: str, sdk: CallSite | None) -> str:
    if sdk is not None:
        return (
            f"Create the object that builds the {kind} (at {sdk.at()}) once, where it outlives the "
            "calls, and use it for all of them."
        )
    if name == "AsyncClient":
        return f"Create one {kind} per event loop, at startup, and share it; aclose it at shutdown."
    if library == "aiohttp":
        return (
            "Create one aiohttp.ClientSession per event loop, at startup, and share it; close it at shutdown."
        )
    if _is_class(name):
        return (
            f"Create one {kind} where it outlives the calls (a module, an object, a parameter) and share it."
        )
    if library == "requests":
        return f"Create one requests.Session() where it outlives the calls, and call session.{name}(…) on it."
    if library == "urllib3":
        return f"Create one urllib3.PoolManager() where it outlives the calls, and call pool.{name}(…) on it."
    return f"Create one {library}.Client() where it outlives the calls, and call client.{name}(…) on it."


def _size(library: str, peak: int, servers: int) -> str:
    if library not in _IDLE_KEPT:
        return ""
    if library not in _SERVERS_KEPT:
        kept = peak * servers
        enough = kept <= _IDLE_KEPT[library]
        change = f"pass limits={library}.Limits(max_keepalive_connections={kept})"
    else:
        servers = servers if servers > _SERVERS_KEPT[library] else 1
        peak = peak if peak > _IDLE_KEPT[library] else 1
        enough = servers == peak == 1
        change = _of_urllib3(library, peak, servers)
    asks = [f"it asks {servers:,} servers"] if servers > 1 else []
    at_once = [f"up to {peak:,} requests may be in flight at once"] if peak > 1 else []
    words = ", and ".join(asks + at_once)
    return "" if enough else f" {words[:1].upper()}{words[1:]}: {change}."


def _of_urllib3(library: str, peak: int, servers: int) -> str:
    names = ("pool_connections", "pool_maxsize") if library == "requests" else ("num_pools", "maxsize")
    sizes = ", ".join(f"{name}={size}" for name, size in zip(names, (servers, peak), strict=True) if size > 1)
    return f"mount HTTPAdapter({sizes}) on it" if library == "requests" else f"pass {sizes}"

"""DNS time, without changing what is resolved, or how.

Whoever connects sets `LOOKUPS` to a list in its own context; the lookups made there are appended to it.
Everybody else's pass straight through. Pre-resolving instead would double the queries and take Happy
Eyeballs away. A library whose lookups cannot be seen leaves the list empty: no DNS time, not zero.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from contextvars import ContextVar
from types import ModuleType
from typing import Any, TypeAlias

from poolscope.facts import now
from poolscope.hooks.guarding import hide_frame
from poolscope.hooks.patching import Patches

Lookup: TypeAlias = tuple[float, float, bool]
"""(started_at, ended_at, found)."""

LOOKUPS: ContextVar[list[Lookup] | None] = ContextVar("poolscope_lookups", default=None)
"""Where the lookups of a connect under way are noted; None: nobody wants to know."""


def install(module: ModuleType, patches: Patches) -> None:
    """Watch the lookups of anyio or trio, whichever ``module`` is."""
    # anyio comes as the module of its sockets, which newer versions import when they are first used.
    owner = getattr(module, "_highlevel_open_tcp_stream", None) if module.__name__ == "trio" else module
    if owner is not None:
        patches.replace(owner, "getaddrinfo", _watched_async)


def install_socket(patches: Patches) -> None:
    """Watch ``socket.getaddrinfo``; once is enough for all libraries."""
    if not getattr(socket.getaddrinfo, "_poolscope_watched", False):
        patches.replace(socket, "getaddrinfo", _watched)


def is_literal(host: Any) -> bool:
    """Whether ``host`` is an IP address already, so that nothing has to be looked up."""
    try:
        ipaddress.ip_address(host.decode("ascii") if isinstance(host, bytes) else host)
    except ValueError:
        return False
    return True


def _watched(original: Callable[..., Any]) -> Callable[..., Any]:
    def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
        lookups = LOOKUPS.get()
        started_at = now()
        found = False
        try:
            result = original(*args, **kwargs)
            found = True
        except BaseException as error:
            hide_frame(error)
            raise
        finally:
            if lookups is not None:
                lookups.append((started_at, now(), found))
        return result

    getaddrinfo._poolscope_watched = True  # type: ignore[attr-defined]
    return getaddrinfo


def _watched_async(original: Callable[..., Any]) -> Callable[..., Any]:
    async def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
        lookups = LOOKUPS.get()
        LOOKUPS.set(None)  # trio looks up in a worker thread with a copy of this context: count it once
        started_at = now()
        found = False
        try:
            result = await original(*args, **kwargs)
            found = True
        except BaseException as error:
            hide_frame(error)
            raise
        finally:
            if lookups is not None:
                lookups.append((started_at, now(), found))
                LOOKUPS.set(lookups)
        return result

    return getaddrinfo

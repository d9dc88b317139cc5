"""DNS time, without changing what is resolved, or how.

Whoever connects sets `LOOKUPS` to a list in its own context; the lookups made there are appended to it.
Everybody else's pass straight through. Pre-resolving instead would double the queries and take Happy
Eyeballs away. A library whose lookups cannot be seen leaves the list empty: no DNS time, not zero.
"""

from __future__ import annotations

import ipaddress
import socket
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Final, TypeAlias

from poolscope.facts import now
from poolscope.libraries.point import Point

Answers: TypeAlias = tuple[Any, ...]
"""The socket addresses that were found, in their order."""
Lookup: TypeAlias = tuple[float, float, Answers | None]
"""(started_at, ended_at, answers or None where it found nothing)."""

LOOKUPS: Final[ContextVar[list[Lookup] | None]] = ContextVar("poolscope_lookups", default=None)
"""Where the lookups of the current connect are noted; None if they are not wanted."""


def lookup_begins() -> tuple[list[Lookup], float] | None:
    """Note when it began, if anybody wants to know."""
    lookups = LOOKUPS.get()
    if lookups is None:
        return None
    LOOKUPS.set(None)  # trio looks up in a worker thread with a copy of this context: count it once
    return lookups, now()


def lookup_ended(token: tuple[list[Lookup], float], result: Any, error: BaseException | None) -> None:
    """Note when it ended, and what it found; what is no list may be there to be read once."""
    lookups, started_at = token
    addresses = tuple(entry[4] for entry in result) if isinstance(result, list | tuple) else ()
    lookups.append((started_at, now(), addresses if error is None else None))
    LOOKUPS.set(lookups)


def hosts(answers: Answers | None) -> tuple[str, ...] | None:
    """The addresses of ``answers`` without their ports, each once; None where none was seen."""
    return tuple(dict.fromkeys(str(address[0]) for address in answers)) if answers else None


def point_of(module: ModuleType) -> Point:
    """The ``getaddrinfo`` that code in ``module`` calls."""
    return Point(module, "getaddrinfo", before=lookup_begins, always=lookup_ended)


SOCKET: Final = point_of(socket)
"""The standard library's: for those who look up names without anyio or trio."""


def points(module: ModuleType) -> tuple[Point, ...]:
    """Watch the lookups of anyio or trio, whichever ``module`` is."""
    # anyio comes as the module of its sockets, which newer versions import when they are first used.
    owner = getattr(module, "_highlevel_open_tcp_stream", None) if module.__name__ == "trio" else module
    return () if owner is None else (point_of(owner),)


def is_literal(host: Any) -> bool:
    """Whether ``host`` is an IP address already, so that nothing has to be looked up."""
    try:
        ipaddress.ip_address(host.decode("ascii") if isinstance(host, bytes) else host)
    except ValueError:
        return False
    return True

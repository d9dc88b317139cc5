"""Measures DNS time and the addresses tried, without changing what is resolved or tried, or how. A connect sets
`LOOKUPS` to a `Lookups` in its own context, which notes the lookups and attempts made there. All others pass straight
through. Resolving names beforehand would double the queries and prevent Happy Eyeballs. If a library's lookups cannot
be seen, the list stays empty: DNS time is unknown, not zero.
"""

from __future__ import annotations

import ipaddress
import socket
from contextvars import ContextVar
from types import FunctionType, ModuleType
from typing import Any, Final, NamedTuple, TypeAlias

from poolscope.facts import Failure, now
from poolscope.libraries.point import Point
from poolscope.story import failures

Answers: TypeAlias = tuple[Any, ...]
"""The socket addresses that were found, in their order."""
Lookup: TypeAlias = tuple[float, float, Answers | None]
"""(started_at, ended_at, answers or None where it found nothing)."""

UNSEEN: Final = Failure("_OTHER")
"""An address failed, and why was forgotten when the next one was tried."""


class Attempt(NamedTuple):
    """One address that was tried, perhaps beside others."""

    address: Any
    began_at: float
    ended_at: float
    what: failures.Seen | None
    """Why it did not answer; None if it did."""


class Lookups(list[Lookup]):
    """The lookups of the current connect, and the addresses that it tried."""

    __slots__ = ("began", "tried")

    def __init__(self) -> None:
        super().__init__()
        self.tried: list[Attempt] = []
        """Where each attempt can be seen."""
        self.began: list[float] = []
        """Where only the moments can be seen at which one after the other began."""


LOOKUPS: Final[ContextVar[Lookups | None]] = ContextVar("poolscope_lookups", default=None)
"""Where the lookups of the current connect are noted; None if they are not wanted."""


def lookup_begins() -> tuple[Lookups, float] | None:
    """Note when it began, if it belongs to a connect."""
    lookups = LOOKUPS.get()
    if lookups is None:
        return None
    LOOKUPS.set(None)  # trio looks up in a worker thread with a copy of this context: count it once
    return lookups, now()


def lookup_ended(token: tuple[Lookups, float], result: Any, error: BaseException | None) -> None:
    """Note when it ended, and what it found; anything but a list may be readable only once."""
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


def in_order(
    began: list[float], until: float, answers: Answers | None, peer: Any = None
) -> list[tuple[Any, float, float, Failure | None]]:
    """The addresses that were tried one after the other; all but the last failed, and why is not to be seen.

    They have names if they must be the first of the answers: up to ``peer``, or all of them if none answered.
    """
    ends = [*began[1:], until]
    tried = answers or ()
    if peer is not None:
        tried = tried[: tried.index(peer) + 1] if peer in tried else ()
    names = tried if len(tried) == len(began) else (None,) * len(began)
    whys = [*[UNSEEN] * (len(began) - 1), None]
    return list(zip(names, began, ends, whys, strict=True))


class _NoSource:
    """What is no source address, but notes when `socket.create_connection` asks for it: once for each address."""

    __slots__ = ("_began",)

    def __init__(self, began: list[float]) -> None:
        self._began = began

    def __repr__(self) -> str:
        return "None"

    def __bool__(self) -> bool:
        self._began.append(now())
        return False


class _Connect(NamedTuple):
    instead: _NoSource


def connects(source_address: Any) -> _Connect | None:
    """Addresses are tried one after the other."""
    lookups = LOOKUPS.get()
    return None if lookups is None or source_address is not None else _Connect(_NoSource(lookups.began))


def tries(_backend: Any, host: Any, port: Any) -> tuple[Lookups, Any, float] | None:
    """An address is tried, perhaps beside others."""
    lookups = LOOKUPS.get()
    return None if lookups is None else (lookups, (host, port), now())


def tried(token: tuple[Lookups, Any, float], error: BaseException | None) -> None:
    """It was."""
    lookups, address, began_at = token
    lookups.tried.append(
        Attempt(
            address,
            began_at,
            now(),
            None if error is None else failures.seen(error, failures.NONE_OF_ITS_OWN),
        )
    )


def one_after_the_other() -> tuple[Point, ...]:
    """Where `socket.create_connection` tries addresses, if it is Python's own: it asks for the source of each."""
    function = socket.create_connection
    if type(function) is not FunctionType or function.__code__.co_filename != socket.__file__:
        return ()
    return (Point(socket, "create_connection", before=connects, rewrites="source_address"),)


def points(module: ModuleType) -> tuple[Point, ...]:
    """Watch the lookups of anyio or trio, whichever ``module`` is, or how anyio connects on asyncio."""
    if module.__name__.startswith("anyio._backends."):
        return (Point("AsyncIOBackend", "connect_tcp", before=tries, always=tried, of_class=True),)
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

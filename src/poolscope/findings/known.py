"""The stream so far, for all rules: clients, pools and connections by their ids, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

from poolscope.records import CallSite, Client, Connection, Exchange, Pool, Record

LIVE: Final = 10_000
OVER: Final = 1_024
"""Closed clients and connections still known when a straggler names them."""

_NO_LOOP: Final = frozenset(("requests", "urllib3"))
_BOTH: Final = frozenset(("httpx", "httpx2"))
"""Libraries with clients that need an event loop, and others that do not."""

Key = tuple[int, int]
"""(pid, id)"""
_K = TypeVar("_K")
_V = TypeVar("_V")
_R = TypeVar("_R", Client, Connection)


class Bounded(dict[_K, _V], Generic[_K, _V]):
    """A dictionary that forgets the oldest of more than ``limit``."""

    __slots__ = ("limit",)

    def __init__(self, limit: int = OVER) -> None:
        super().__init__()
        self.limit = limit

    def put(self, key: _K, value: _V) -> None:
        """Set ``key``."""
        self[key] = value
        if len(self) > self.limit:
            del self[next(iter(self))]

    def get_or_put(self, key: _K, make: Callable[[], _V]) -> _V:
        """The value of ``key``, created if there is none."""
        value = self.get(key)
        if value is None:
            value = make()
            self.put(key, value)
        return value


class Place(NamedTuple):
    """A place in the program, and the origin that it talks to."""

    pid: int
    origin: str
    call_site: CallSite | None
    sdk_call_site: CallSite | None
    kind: str | None

    @classmethod
    def of_client(cls, record: Client, origin: str = "") -> Place:
        """The line that builds a client, whatever it talks to unless there is an ``origin``."""
        return cls(record.pid, origin, record.call_site, record.sdk_call_site, record.kind)


def is_bound_to_its_loop(kind: str) -> bool:
    """Whether the connections of such a client work in one event loop only; True for a library that is not known."""
    library, _, name = kind.partition(".")
    return library not in _NO_LOOP and (library not in _BOTH or name == "AsyncClient")


def of_package(site: CallSite | None) -> bool:
    """Whether a line is an installed package's, not the program's own."""
    return site is not None and any(
        home in site.file.replace("\\", "/").split("/") for home in ("site-packages", "dist-packages")
    )


class Known:
    """Feed it the stream before the rules."""

    __slots__ = ("_clients", "_connections", "_past_clients", "_past_connections", "_pools", "is_first")

    def __init__(self) -> None:
        self._clients: Bounded[Key, Client] = Bounded(LIVE)
        self._past_clients: Bounded[Key, Client] = Bounded()
        self._connections: Bounded[Key, Connection] = Bounded(LIVE)
        self._past_connections: Bounded[Key, Connection] = Bounded()
        self._pools: Bounded[Key, Pool] = Bounded(LIVE)
        self.is_first = False
        """Whether the record is the first one of its connection, which comes again at its end and at the program's."""

    def __repr__(self) -> str:
        return f"<Known {len(self._clients)} clients, {len(self._connections)} connections>"

    def consume(self, record: Record) -> None:
        """Take in the next record of the stream."""
        if isinstance(record, Connection):
            self.is_first = self.connection(record.pid, record.id) is None
            _note(record, record.closed_at is not None, self._connections, self._past_connections)
        elif isinstance(record, Client):
            _note(record, record.close_kind is not None, self._clients, self._past_clients)
        elif isinstance(record, Pool):
            self._pools.put((record.pid, record.id), record)

    def client(self, pid: int, number: int | None) -> Client | None:
        """The newest record of a client."""
        key = (pid, number or 0)
        return self._clients.get(key) or self._past_clients.get(key)

    def connection(self, pid: int, number: int | None) -> Connection | None:
        """The newest record of a connection."""
        key = (pid, number or 0)
        return self._connections.get(key) or self._past_connections.get(key)

    def pool(self, pid: int, number: int | None) -> Pool | None:
        """The record of a pool."""
        return self._pools.get((pid, number or 0))

    def place_of(self, record: Connection | Exchange) -> Place:
        """The line that made the request; of a connection, the line that built its client."""
        client = self.client(record.pid, record.client)
        kind = None if client is None else client.kind
        if isinstance(record, Exchange) and record.call_site is not None:
            return Place(record.pid, record.origin, record.call_site, None, kind)
        if client is None:
            return Place(record.pid, record.origin, None, None, None)
        return Place.of_client(client, record.origin)


def _note(record: _R, over: bool, live: Bounded[Key, _R], past: Bounded[Key, _R]) -> None:
    key = (record.pid, record.id)
    if over:
        live.pop(key, None)
        past.put(key, record)
    else:
        live.put(key, record)


def idle_at_close(connection: Connection) -> float | None:
    """Seconds that a connection had been idle when it was closed."""
    if connection.idle_since is None or connection.closed_at is None:
        return None
    return connection.closed_at - connection.idle_since


def setup_time(connection: Connection | None) -> float:
    """Seconds of a connection's setup; 0 where it was not observed.

    Without loading CA certificates, which PS115 counts, and failed addresses, which PS116 counts.
    """
    total = None if connection is None else connection.setup.get("total")
    if connection is None or total is None:
        return 0.0
    return max(total.duration - (connection.ca_time or 0.0) - (connection.lost_time or 0.0), 0.0)

"""PS117: a client goes to more hosts in turn than it keeps connections for, so it opens them again and again.

It fires for a client's line where at least `MIN_REOPENED` connections were opened, to at least two origins, after the
client had closed others to the same origins to make room, while those could still have served.
"""

from __future__ import annotations

from typing import ClassVar, Final

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Key, Place, setup_time
from poolscope.findings.replaced import Gone
from poolscope.records import Connection, Finding

MIN_REOPENED: Final = 3
ORIGINS: Final = 1_000

_ROOM: Final = {
    "requests": "Mount HTTPAdapter(pool_connections={room}) on the session",
    "urllib3": "Pass num_pools={room} to it",
    "httpx": "Pass limits=httpx.Limits(max_keepalive_connections={room}) to it",
    "httpx2": "Pass limits=httpx2.Limits(max_keepalive_connections={room}) to it",
}
_BY_POOL: Final = frozenset(("requests", "urllib3"))
"""Libraries that have a pool for each host, and a limit for pools; others count connections."""


class _Closed:
    """The connections to one origin that were closed to make room."""

    __slots__ = ("gone", "number")

    def __init__(self) -> None:
        self.gone = Gone()
        self.number = 0
        """How often the client had made room when it last closed one of them, that time included."""


class _Client:
    """What one client has, and what it closed to make room."""

    __slots__ = ("closed", "made_room", "open")

    def __init__(self) -> None:
        self.open: dict[int, tuple[int, str]] = {}
        """Of each connection what the client counts, its pool or itself, and its origin."""
        self.made_room = 0
        self.closed: Bounded[str, _Closed] = Bounded(ORIGINS)

    @property
    def kept(self) -> int:
        """How many pools or connections it has."""
        return len({unit for unit, _ in self.open.values()})


class _Turns:
    __slots__ = ("closed", "cost", "origins", "reopened", "room")

    def __init__(self) -> None:
        self.closed = self.reopened = self.room = 0
        self.origins: set[str] = set()
        """Where they were opened again; two of them are as good as all."""
        self.cost = 0.0


class HostsInTurn(Rule):
    """The rule. State: the open connections of each client, and a few numbers per line."""

    code: ClassVar[str] = "PS117"
    title: ClassVar[str] = "hosts take turns in a small pool"
    explanation: ClassVar[str] = (
        "A client keeps connections to a limited number of hosts. If it goes to more of them in turn, each new connection "
        "replaces another, and when the client comes back to the first host, that connection is gone."
    )

    def __init__(self) -> None:
        self._clients: Bounded[Key, _Client] = Bounded()
        self._turns: Bounded[Place, _Turns] = Bounded()

    def connection(self, record: Connection) -> None:
        """Count it if it was closed to make room, or opened in the place of such a connection."""
        if record.client is None or record.pool is None or record.opened_at is None:
            return
        place = self.known.place_of(record)._replace(origin="")
        client = self._clients.get_or_put((record.pid, record.client), _Client)
        by_pool = (place.kind or "").partition(".")[0] in _BY_POOL
        if record.closed_at is None:
            if self.known.is_first:
                client.open[record.id] = (record.pool if by_pool else record.id, record.origin)
                self._opened(client, place, record)
            return
        before = client.kept
        client.open.pop(record.id, None)
        if record.close_reason == "pool_evicted" or (not by_pool and self._made_room(client, record)):
            client.made_room += before - client.kept
            self._closed(client, place, record)

    def _made_room(self, client: _Client, record: Connection) -> bool:
        """Whether a connection, as the library counts these, had to go for others, of more hosts than are kept."""
        pool = self.known.pool(record.pid, record.pool)
        if pool is None or pool.max_idle is None or record.close_reason != "max_keepalive_surplus":
            return False
        if record.idle_left is None or record.idle_left < pool.max_idle:
            return False  # PS111
        origins = {origin for _, origin in client.open.values()}
        return len(origins.union(client.closed, [record.origin])) > pool.max_idle

    def _closed(self, client: _Client, place: Place, record: Connection) -> None:
        pool = self.known.pool(record.pid, record.pool)
        closed = client.closed.get_or_put(record.origin, _Closed)
        closed.number = client.made_room
        closed.gone.add(record, None if pool is None else pool.keepalive_expiry)
        turns = self._turns.get_or_put(place, _Turns)
        turns.closed += 1
        turns.cost += record.close_time or 0.0

    def _opened(self, client: _Client, place: Place, record: Connection) -> None:
        closed = client.closed.get(record.origin)
        if closed is None or not closed.gone.is_replaced_by(record):
            return
        turns = self._turns.get_or_put(place, _Turns)
        turns.reopened += 1
        turns.cost += setup_time(record)
        if len(turns.origins) < 2:
            turns.origins.add(record.origin)
        turns.room = max(turns.room, client.kept + client.made_room - closed.number)

    def findings(self) -> list[Finding]:
        """One per process and line."""
        return [
            self._finding(place, turns)
            for place, turns in self._turns.items()
            if turns.reopened >= MIN_REOPENED and len(turns.origins) > 1
        ]

    def _finding(self, place: Place, turns: _Turns) -> Finding:
        larger = _ROOM.get((place.kind or "").partition(".")[0], "Let it keep {room} connections")
        return self.finding(
            place,
            turns.closed,
            f"{place.kind} goes to more hosts in turn than it keeps connections for: {turns.closed:,} connections were "
            f"closed to make room, and {turns.reopened:,} opened in their place.",
            f"{larger.format(room=turns.room)}.",
            turns.cost,
        )

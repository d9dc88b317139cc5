"""One client from its first record to its last: what it did on each origin, and what that cost."""

from __future__ import annotations

from typing import Final

from poolscope.findings.churn import Runner, ShortLife
from poolscope.findings.known import idle_at_close
from poolscope.findings.parts import added
from poolscope.records import Client, CloseReason, Connection, Exchange

MOST_CALLS: Final = 20
"""A client with more requests than this is not examined."""
DEFAULT_KEEPALIVE: Final = 5.0
"""Seconds, if the pool's own limit is not known: httpx's default, and less than most servers allow."""
MAX_ORIGINS: Final = 16
"""Origins followed per client; a client that talks to more is not a client per request."""
MAX_NOTES: Final = 128
"""How many connections and exchanges of a client are noted; with more, it is not a client per request."""

AT_ONCE: Final = 1.0
"""A silent close after at most so many idle seconds is a refusal, not a timeout."""
FIRST_PACKETS: Final = 14_000
"""Bytes that a server may send on a new connection before it hears of the client again (RFC 6928)."""

KEEPS_ALIVE: Final[frozenset[CloseReason | None]] = frozenset(
    {
        None,
        "client_close",
        "gc",
        "program_close",
        "keepalive_expired",
        "max_keepalive_surplus",
        "evicted_max_connections",
        "pool_full",
        "pool_closed",
        "pool_evicted",
    }
)
"""Close reasons (None: not closed yet) after which a shared client could have used the connection again."""


class Use:
    """What one client did on one origin."""

    __slots__ = (
        "closes", "ended_well", "failing", "keepalive", "large", "parts", "peak", "refused", "runners", "setup", "silent", "spans"
    )  # fmt: skip

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []
        self.ended_well = True
        self.refused = False
        self.silent = False
        """The server closed its connection right after an answer, without saying so."""
        self.failing = False
        """The server answered with an error that is worth a retry."""
        self.large = False
        """Its answers did not fit into the first packets of a connection."""
        self.setup: dict[int, float] = {}
        self.parts: dict[int, dict[str, float]] = {}
        self.keepalive: float | None = None
        """What the server said."""
        self.closes: dict[int, tuple[float, float]] = {}
        self.peak: int | None = 0
        self.runners: set[Runner] = set()

    def add_connection(self, record: Connection) -> None:
        total = record.setup.get("total")
        if total is not None:
            self.setup[record.id] = total.duration
            self.parts[record.id] = {
                name: phase.duration for name, phase in record.setup.items() if name != "total"
            }
        if record.first_length is not None and record.first_length > FIRST_PACKETS:
            self.large = True
        if record.server_keepalive is not None:
            self.keepalive = record.server_keepalive
        if record.close_time is not None and record.closed_at is not None:
            self.closes[record.id] = record.closed_at, record.closed_at + record.close_time
        if record.close_reason not in KEEPS_ALIVE:
            self.refused = True
            self.silent = self.silent or closed_at_once(record)

    def add_exchange(self, record: Exchange) -> None:
        self.runners.add((record.thread, record.task))
        if self.peak is not None:
            self.peak = None if record.in_flight is None else max(self.peak, record.in_flight)
        if record.started_at is None or record.finished_at is None or not _ended_well(record):
            self.ended_well = False
        else:
            self.spans.append((record.started_at, record.finished_at))
            self.failing = self.failing or record.status == 429 or (record.status or 0) >= 500


class Life:
    """One client between its first record and its last."""

    __slots__ = ("calls", "connected", "keepalive", "notes", "open", "uses")

    def __init__(self) -> None:
        self.calls = 0
        self.connected = False
        """It opened a connection of its own, to a server or a proxy, and did not only use another client's."""
        self.notes = 0
        self.open: set[int] = set()
        self.keepalive: float | None = None
        self.uses: dict[str, Use] = {}

    def note(self) -> None:
        """Count one more noted thing; past the limit the client counts as long-lived."""
        self.notes += 1
        if self.notes > MAX_NOTES and self.calls <= MOST_CALLS:
            self.calls = MOST_CALLS + 1
            for use in self.uses.values():
                use.spans.clear()

    def use(self, origin: str) -> Use | None:
        found = self.uses.get(origin)
        if found is None and len(self.uses) < MAX_ORIGINS:
            found = self.uses[origin] = Use()
        return found


def closed_at_once(record: Connection) -> bool:
    """Whether the server closed it within `AT_ONCE` of an answer, without saying so."""
    idle = idle_at_close(record)
    return record.close_reason == "server_closed_idle" and idle is not None and idle <= AT_ONCE


def short_life(
    client: Client, life: Life, use: Use, construction: float, patience: float | None
) -> ShortLife:
    own = DEFAULT_KEEPALIVE if life.keepalive is None else life.keepalive
    limits = [limit for limit in (own, use.keepalive, patience) if limit is not None]
    return ShortLife(
        spans=tuple(use.spans),
        keepalive=min(limits),
        built_at=(client.created_at or 0.0) - max(construction - (client.construction_time or 0.0), 0.0),
        construction=construction,
        setup=sum(use.setup.values()),
        parts=added(use.parts.values()),
        closes=tuple(use.closes.values()),
    )


def _ended_well(exchange: Exchange) -> bool:
    return (
        exchange.connection is not None
        and exchange.status is not None
        and exchange.error is None
        and exchange.body_complete is not False
    )

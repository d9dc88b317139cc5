"""The contents of one look at a process: plain typed data, one JSON line.

Durations are seconds up to `Look.taken_at`, which is Unix time. Lists are bounded and begin with the most urgent; the
totals beside them are complete. A reader must not trust the writer of a frame: every field is checked.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from math import inf
from typing import Any, ClassVar, Final, Literal, TypeAlias

from poolscope.facts import HolderState
from poolscope.ledger.snapshot import ConnectionState
from poolscope.recording.validation import checked
from poolscope.records import CallSite, Severity

SCHEMA: Final = 1
LONGEST: Final = 1_000_000
"""Bytes of a frame at most."""
MOST: Final = 256
"""Items of a list at most."""

WaiterState: TypeAlias = Literal["waiting", "connecting"]


@dataclass(slots=True)
class Counts:
    """Sums of the past and the present, for a server, a process, or several processes."""

    requests: int = 0
    """Requests that are over, or in progress for more than a second."""
    on_connection: int = 0
    """Requests known to have run on a connection."""
    reused: int = 0
    opened: int = 0
    """Connections opened since the recording began."""
    idle: int = 0
    active: int = 0
    connecting: int = 0
    waiting: int = 0
    """Requests that wait for a connection now."""
    oldest_wait: float | None = None

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return self.idle + self.active

    def add(self, other: Counts) -> None:
        """Add ``other``."""
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        waits = [wait for wait in (self.oldest_wait, other.oldest_wait) if wait is not None]
        self.oldest_wait = max(waits, default=None)


_SUMMED: Final = ("requests", "on_connection", "reused", "opened", "idle", "active", "connecting", "waiting")


@dataclass(slots=True)
class OriginNow(Counts):
    """One server, as its clients see it."""

    origin: str = ""


@dataclass(slots=True)
class RouteNow:
    """A route of the program's own server: sums over its served requests that sent requests themselves."""

    route: str
    served: int
    requests: int
    on_connection: int
    reused: int
    opened: int
    setup: float
    waited: float


@dataclass(slots=True)
class PoolNow:
    """A pool with a limit: how many of its slots are taken, and how many requests wait for one."""

    pool: int
    kind: str | None
    call_site: CallSite | None
    limit: int
    taken: int
    waiting: int


@dataclass(slots=True)
class Holder:
    """A request that holds a connection."""

    exchange: int
    connection: int
    origin: str
    method: str | None
    state: HolderState
    held: float
    """Seconds since the request began."""
    pool: int | None
    task: str | None
    route: str | None
    call_site: CallSite | None


@dataclass(slots=True)
class Waiter:
    """A request that has no connection yet: it waits for one, or sets one up."""

    exchange: int
    origin: str
    method: str | None
    state: WaiterState
    waited: float
    pool: int | None
    task: str | None
    route: str | None
    call_site: CallSite | None


@dataclass(slots=True)
class LaneNow:
    """A connection and what it does."""

    connection: int
    origin: str
    state: ConnectionState
    requests: int
    since: float | None
    """Seconds in which it has been idle, or since its setup began; None while it is active."""
    age: float | None


@dataclass(slots=True)
class FindingNow:
    """A finding, and how long ago it was first seen; None if nobody was looking when it came."""

    code: str
    title: str
    severity: Severity
    origin: str | None
    call_site: CallSite | None
    count: int
    cost: float | None
    saving: float | None
    sentence: str
    fix: str
    seen: float | None

    def age(self) -> float:
        """The sort key of findings: those from before anybody looked come last."""
        return inf if self.seen is None else self.seen


@dataclass(slots=True)
class Look:
    """Everything that one look shows."""

    type: ClassVar[str] = "look"
    schema: int
    pid: int
    parent: int | None
    program: str
    taken_at: float
    up: float
    """Seconds since the recording began."""
    next: float
    """Seconds until the process looks again: it spends less than 1 % of a core on this."""
    totals: Counts
    clients: int = 0
    """Clients that are alive."""
    dropped: int = 0
    """Facts that were lost because the process was too busy to read them."""
    origins: list[OriginNow] = field(default_factory=list)
    routes: list[RouteNow] = field(default_factory=list)
    pools: list[PoolNow] = field(default_factory=list)
    holders: list[Holder] = field(default_factory=list)
    waiters: list[Waiter] = field(default_factory=list)
    lanes: list[LaneNow] = field(default_factory=list)
    findings: list[FindingNow] = field(default_factory=list)


_LISTS: Final[dict[str, type[Any]]] = {
    "origins": OriginNow,
    "routes": RouteNow,
    "pools": PoolNow,
    "holders": Holder,
    "waiters": Waiter,
    "lanes": LaneNow,
    "findings": FindingNow,
}


def to_json(look: Look) -> str:
    """One line of JSON, without the newline."""
    return json.dumps({"type": Look.type, **asdict(look)}, separators=(",", ":"))


def from_json(line: str | bytes) -> Look:
    """The look of one line; ValueError if it is not a look, or from a newer poolscope."""
    try:
        data = json.loads(line)
        if data["type"] != Look.type or data["schema"] > SCHEMA:
            raise ValueError("it comes from another version of poolscope: use the same version on both sides")
        parts = {name: _list(kind, data.get(name, [])) for name, kind in _LISTS.items()}
        parts["totals"] = _one(Counts, data["totals"])
        look: Look = _one(Look, data, parts)
        return look
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a look: {type(error).__name__}") from None


def _list(kind: type[Any], items: Any) -> list[Any]:
    if type(items) is not list or len(items) > MOST:
        raise ValueError("not a list of a look")
    return [_one(kind, item) for item in items]


def _one(kind: type[Any], data: dict[str, Any], parts: dict[str, Any] | None = None) -> Any:
    known = {one.name: data[one.name] for one in fields(kind) if one.name in data} | (parts or {})
    site = known.get("call_site")
    if site is not None:
        known["call_site"] = CallSite(**site)
    return checked(kind(**known), apart=parts or ())

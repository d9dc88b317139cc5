"""Connections as lanes: what is kept of each, and which few of a row are worth drawing."""

from __future__ import annotations

from collections import deque
from itertools import zip_longest
from typing import Final, NamedTuple, get_args

from poolscope.records import CloseReason, Connection, Exchange, PhaseName

SAMPLED: Final = 5
"""Connections kept of each sort: first, last, slowest to set up, failed."""
EDGE: Final = 4
"""Requests kept of each connection, from its beginning and from its end."""
SHAPES: Final = 20
"""How many shapes a row distinguishes."""
SLOW: Final = 5
"""A lane is drawn beside another of its shape if its setup took so many times longer, and at least `LONG`."""
LONG: Final = 0.01
TROUBLE: Final[frozenset[CloseReason]] = frozenset(
    {
        "server_closed_no_response",
        "server_closed_mid_body",
        "timeout",
        "cancelled",
        "reset",
        "protocol_error",
        "exchange_failed",
        "client_close_active",
        "gc_active",
    }
)

PHASES: Final[tuple[PhaseName, ...]] = get_args(PhaseName)
Segment = tuple[str, str]
"""A style's name (setup, request, failed, idle, end, label) and its text."""
Shape = tuple[object, ...]
"""The features of a lane: of several lanes with the same, one is drawn."""


class Bar(NamedTuple):
    """One request on a lane."""

    number: int | None
    start: float | None
    end: float | None
    status: int | None
    error: str | None

    @property
    def failed(self) -> bool:
        """Whether there was no answer, or a server error."""
        return self.error is not None or self.status is None or self.status >= 500

    @classmethod
    def of(cls, exchange: Exchange, opened_at: float | None) -> Bar:
        """An exchange as a bar, which starts when it had the connection, after wait and setup."""
        start = exchange.started_at
        if start is not None:
            start = max(start + (exchange.pool_wait or 0.0), opened_at or 0.0)
        return cls(exchange.request_number, start, exchange.finished_at, exchange.status, exchange.error)


class Lane:
    """One connection and the first and last requests on it."""

    __slots__ = ("bars", "connection", "failed", "in_progress", "newest", "seen")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.bars: list[Bar] = []
        self.failed: list[Bar] = []
        self.newest: deque[Bar] | None = None
        self.seen = 0
        """Requests that are over."""
        self.in_progress = 0

    def __repr__(self) -> str:
        return f"<Lane {self.connection.pid}#{self.connection.id} {self.seen} requests>"

    @property
    def key(self) -> tuple[int, int]:
        """The key of its connection."""
        return self.connection.pid, self.connection.id

    @property
    def troubled(self) -> bool:
        """Whether its setup failed or it ended in an error."""
        return self.connection.failed_phase is not None or self.connection.close_reason in TROUBLE

    @property
    def setup_time(self) -> float:
        """Seconds of its setup; 0.0 where they are not known."""
        total = self.connection.setup.get("total")
        return total.duration if total is not None else 0.0

    def add(self, exchange: Exchange) -> None:
        """Take in a finished request."""
        self.seen += 1
        bar = Bar.of(exchange, self.connection.opened_at)
        if bar.failed and len(self.failed) < EDGE:
            self.failed.append(bar)
        if len(self.bars) < EDGE:
            self.bars.append(bar)
            return
        if self.newest is None:
            self.newest = deque(maxlen=EDGE)
        self.newest.append(bar)

    def kept(self) -> list[Bar]:
        """The requests that are known one by one, in order."""
        edges = [*self.bars, *(self.newest or ())]
        between = [bar for bar in self.failed if bar not in edges]
        return [*self.bars, *between, *edges[len(self.bars) :]]

    @property
    def shape(self) -> Shape:
        """What happened on it, without times: equal for similar connections."""
        connection = self.connection
        outcomes = {bar.error or bar.status for bar in (*self.bars, *self.failed, *(self.newest or ()))}
        ending = connection.failed_phase, connection.close_reason
        return (*ending, connection.inherited, min(self.seen, 3), self.in_progress > 0, frozenset(outcomes))


class Alike(NamedTuple):
    """Lanes of one shape."""

    lane: Lane
    """The first of them."""
    number: int


class LaneSample:
    """The first, last, slowest and failed of all lanes that it was given."""

    __slots__ = ("failed", "first", "last", "seen", "shapes", "slowest")

    def __init__(self) -> None:
        self.seen = 0
        self.first: list[Lane] = []
        self.failed: list[Lane] = []
        self.slowest: list[Lane] = []
        self.last: deque[Lane] = deque(maxlen=SAMPLED)
        self.shapes: dict[Shape, Alike] = {}

    def __repr__(self) -> str:
        return f"<LaneSample {len(self.chosen(4 * SAMPLED))} of {self.seen}>"

    def add(self, lane: Lane) -> None:
        """Look at a finished lane, and keep it if it is one of the few."""
        self.seen += 1
        if len(self.first) < SAMPLED:
            self.first.append(lane)
        if lane.troubled and len(self.failed) < SAMPLED:
            self.failed.append(lane)
        if len(self.slowest) < SAMPLED or lane.setup_time > self.slowest[-1].setup_time:
            self.slowest.append(lane)
            self.slowest.sort(key=lambda kept: -kept.setup_time)
            del self.slowest[SAMPLED:]
        self.last.append(lane)
        self._add_shape(lane, lane.shape)

    def _add_shape(self, lane: Lane, shape: Shape) -> None:
        known = self.shapes.get(shape)
        if known is not None:
            self.shapes[shape] = known._replace(number=known.number + 1)
        elif len(self.shapes) < SHAPES:
            self.shapes[shape] = Alike(lane, 1)

    def copy(self) -> LaneSample:
        """A copy, to which lanes can be added without changing this one."""
        other = LaneSample()
        other.seen = self.seen
        other.first, other.failed, other.slowest = self.first[:], self.failed[:], self.slowest[:]
        other.last, other.shapes = self.last.copy(), self.shapes.copy()
        return other

    def chosen(self, number: int) -> list[Lane]:
        """At most ``number`` of them, some of every sort, in order."""
        picked: dict[tuple[int, int], Lane] = {}
        for lanes in zip_longest(self.first, self.failed, reversed(self.last), self.slowest):
            for lane in lanes:
                if lane is not None and len(picked) < number:
                    picked.setdefault(lane.key, lane)
        return sorted(picked.values(), key=lambda lane: lane.key)

    def differing(self, number: int) -> list[Alike]:
        """At most ``number`` different ones: the most common, those in trouble, others; in order. A lane with a setup
        far longer than similar ones is included.
        """
        slow = [lane for lane in self.slowest[:1] if self._is_slow(lane)]
        shapes = self.shapes | {
            lane.shape: self.shapes[lane.shape]._replace(number=self.shapes[lane.shape].number - 1)
            for lane in slow
        }
        by_number = sorted(shapes.values(), key=lambda alike: -alike.number)
        others = sorted(by_number[1:], key=lambda alike: not alike.lane.troubled)
        picked = [*by_number[:1], *(Alike(lane, 1) for lane in slow), *others][:number]
        return sorted(picked, key=lambda alike: alike.lane.key)

    def _is_slow(self, lane: Lane) -> bool:
        like = self.shapes.get(lane.shape)
        usual = None if like is None or like.lane is lane else like.lane.setup_time
        return usual is not None and lane.setup_time >= max(LONG, SLOW * usual)

"""Connections drawn as one line of text each, and the few of a row that are worth drawing.

``#3 +0.41 s ━connect 1.2ms━tls 9.8ms━█200 35ms█··2.1s··█200 31ms█ ✕ keepalive expired``
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from poolscope.records import Connection, Exchange
from poolscope.reports.words import plain, seconds

SAMPLED: Final = 5
"""Connections kept of each sort: first, last, slowest to set up, failed."""
EDGE: Final = 4
"""Requests kept of each connection, from its beginning and from its end."""
ROOM: Final = 32
"""Characters that requests should get; below that the phases of setup are drawn as one."""
TROUBLE: Final = frozenset(
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

Segment = tuple[str, str]
"""A style's name (setup, request, failed, idle, end, label) and its text."""


class Bar(NamedTuple):
    """One request on a lane."""

    number: int | None
    start: float | None
    end: float | None
    status: int | None
    error: str | None

    @classmethod
    def of(cls, exchange: Exchange, opened_at: float | None) -> Bar:
        """What a lane needs of an exchange: it starts when the connection was there, after wait and setup."""
        start = exchange.started_at
        if start is not None:
            start = max(start + (exchange.pool_wait or 0.0), opened_at or 0.0)
        return cls(exchange.request_number, start, exchange.finished_at, exchange.status, exchange.error)


class Lane:
    """One connection and the first and last requests on it."""

    __slots__ = ("bars", "connection", "newest", "seen")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.bars: list[Bar] = []
        self.newest: deque[Bar] | None = None
        self.seen = 0

    def __repr__(self) -> str:
        return f"<Lane {self.connection.pid}#{self.connection.id} {self.seen} requests>"

    @property
    def key(self) -> tuple[int, int]:
        """What its connection is known by."""
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
        if len(self.bars) < EDGE:
            self.bars.append(Bar.of(exchange, self.connection.opened_at))
            return
        if self.newest is None:
            self.newest = deque(maxlen=EDGE)
        self.newest.append(Bar.of(exchange, self.connection.opened_at))


class LaneSample:
    """The first, last, slowest and failed of all lanes shown to it."""

    __slots__ = ("failed", "first", "last", "seen", "slowest")

    def __init__(self) -> None:
        self.seen = 0
        self.first: list[Lane] = []
        self.failed: list[Lane] = []
        self.slowest: list[Lane] = []
        self.last: deque[Lane] = deque(maxlen=SAMPLED)

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

    def copy(self) -> LaneSample:
        """Another with the same lanes, to look at more without changing this one."""
        other = LaneSample()
        other.seen = self.seen
        other.first, other.failed, other.slowest = self.first[:], self.failed[:], self.slowest[:]
        other.last = self.last.copy()
        return other

    def chosen(self, number: int) -> list[Lane]:
        """At most ``number`` of them, some of every sort, in the order in which they came."""
        picked: dict[tuple[int, int], Lane] = {}
        for lanes in zip(*(self._endless(sort) for sort in self._sorts()), strict=False):
            for lane in lanes:
                if lane is not None and len(picked) < number:
                    picked.setdefault(lane.key, lane)
        return sorted(picked.values(), key=lambda lane: lane.key)

    def _sorts(self) -> tuple[list[Lane], ...]:
        return self.first, self.failed, list(reversed(self.last)), self.slowest

    @staticmethod
    def _endless(lanes: list[Lane]) -> Iterator[Lane | None]:
        yield from lanes
        for _ in range(SAMPLED - len(lanes)):
            yield None


def draw(lane: Lane, origin_time: float | None, width: int, name: str) -> list[Segment]:
    """One line of at most ``width`` characters; the middle gives way, the end is always shown."""
    start, tail = [("label", f"{name} "), *_start(lane, origin_time)], _end(lane)
    head = start + _setup(lane)
    whole, left = _all_requests(lane), width - _width([head, tail])
    if _width(whole) > left and left < ROOM:
        head = start + _setup_in_one(lane)
        left = width - _width([head, tail])
    fits = _width(whole) <= left and len(whole) == lane.seen
    return head + (_flat(whole) if fits else _shortened(lane, whole, left)) + tail


def _start(lane: Lane, origin_time: float | None) -> list[Segment]:
    connection = lane.connection
    began = connection.setup_started_at if connection.setup_started_at is not None else connection.opened_at
    if began is None or origin_time is None:
        return [("label", f"{'':>9} ")]
    return [("label", f"{'+' + seconds(began - origin_time):>9} ")]


def _setup(lane: Lane) -> list[Segment]:
    connection = lane.connection
    if connection.inherited:
        return [("setup", "┄inherited┄")]
    phases = sorted(
        (part.start, phase, part.duration) for phase, part in connection.setup.items() if phase != "total"
    )
    if not phases:
        return [("setup", "━" if connection.opened_at is not None else "┄")]
    text = "".join(f"━{plain(phase)} {seconds(duration, '')}" for _, phase, duration in phases)
    return [("setup", text + "━")]


def _setup_in_one(lane: Lane) -> list[Segment]:
    whole = _setup(lane)
    return [("setup", f"━setup {seconds(lane.setup_time, '')}━")] if lane.setup_time else whole


def _all_requests(lane: Lane) -> list[list[Segment]]:
    drawn: list[list[Segment]] = []
    end: float | None = None
    for number, bar in enumerate((*lane.bars, *(lane.newest or ()))):
        if number == EDGE and lane.seen > 2 * EDGE:
            end = None  # the one before it was not kept
        drawn.append(_gap(end, bar) + _bar(bar))
        end = bar.end
    return drawn


def _shortened(lane: Lane, whole: list[list[Segment]], width: int) -> list[Segment]:
    """As many from both ends as fit beside the number of those left out."""
    ahead, behind = whole[: len(whole) // 2], whole[len(whole) // 2 :]
    head: list[list[Segment]] = []
    tail: list[list[Segment]] = []
    room = width - len(f"··{lane.seen:,} more··")
    while ahead or behind:
        from_start = bool(ahead) and (len(head) <= len(tail) or not behind)
        piece = ahead.pop(0) if from_start else behind.pop()
        room -= _width([piece])
        if room < 0:
            break
        if from_start:
            head.append(piece)
        else:
            tail.insert(0, piece)
    noun = "more" if head or tail else "requests"
    middle = [("idle", f"··{lane.seen - len(head) - len(tail):,} {noun}··")]
    if tail and tail[0][0][0] == "idle":
        tail[0] = tail[0][1:]
    return _flat(head) + middle + _flat(tail)


def _bar(bar: Bar) -> list[Segment]:
    took = "" if bar.start is None or bar.end is None else " " + seconds(max(0.0, bar.end - bar.start), "")
    if bar.error is not None:
        return [("failed", f"█{bar.error.rpartition('.')[2]}{took}█")]
    if bar.status is None:
        return [("failed", f"█no answer{took}█")]
    return [("failed" if bar.status >= 500 else "request", f"█{bar.status}{took}█")]


def _gap(end: float | None, bar: Bar) -> list[Segment]:
    if end is None or bar.start is None:
        return []
    if bar.start < end:
        return [("idle", "∥")]  # HTTP/2: it began before the one before it had ended
    idle = bar.start - end
    return [("idle", f"··{seconds(idle, '')}··" if idle >= 0.001 else "·")]


def _end(lane: Lane) -> list[Segment]:
    connection = lane.connection
    if connection.failed_phase is not None:
        error = f" ({connection.error.rpartition('.')[2]})" if connection.error else ""
        return [("failed", f" ✕ failed in {plain(connection.failed_phase)}{error}")]
    if connection.close_reason is None:
        return [("end", " → still open")]
    style = "failed" if lane.troubled else "end"
    return [(style, f" ✕ {plain(connection.close_reason)}")]


def _width(pieces: list[list[Segment]]) -> int:
    return sum(len(text) for piece in pieces for _, text in piece)


def _flat(pieces: list[list[Segment]]) -> list[Segment]:
    return [segment for piece in pieces for segment in piece]

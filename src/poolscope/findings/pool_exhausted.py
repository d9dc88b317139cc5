"""PS105: requests wait for a connection of their pool, or for a stream, while others hold all of them.

It fires for a pool

- as soon as one request was given up because it got no connection: by the library's pool timeout, however short,
  or after `HOPELESS` seconds by anything else, where the pool was full,
- where a request waits and the pool never got a slot back from a request that is over, and
- where at least `MIN_WAITED` requests waited for `LONG` seconds or more on a full pool, which is information: a program may mean to
  queue. It is a warning where some of them were given up, and open responses held most of the slots.
"""

from __future__ import annotations

from typing import ClassVar, Final

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Place
from poolscope.records import Connection, Exchange, Finding, Holder, HolderState, Severity

LONG: Final = 1.0
MIN_WAITED: Final = 3
HOPELESS: Final = 5.0
MOST: Final = 0.5
"""One kind of request holds most of the slots from this share on."""

_TIMEOUTS: Final = frozenset(("PoolTimeout", "EmptyPoolError"))
_STATES: Final[dict[HolderState, str]] = {
    "connecting": "connecting",
    "sending": "being sent",
    "awaiting_headers": "waiting for the answer",
    "reading": "its response open, not read to the end",
    "not_given_back": "over, but never given back to the pool",
}
_FIXES: Final = {
    "reading": "Read each answer to its end, or close it, in a with block.",
    "not_given_back": (
        "Give the connection back: read the answer to its end, or call response.release_conn(); closing the response, "
        "which is what a with block does, is not enough on a pool that blocks."
    ),
}
_ALL_STREAMS: Final = "all streams of its HTTP/2 connection were taken"
_LARGER: Final = {
    "requests": "mount HTTPAdapter(pool_maxsize=…) with a higher number",
    "urllib3": "pass a higher maxsize=…",
    "aiohttp": "pass connector=aiohttp.TCPConnector(limit=…) with a higher limit",
}


class _Starved:
    """What happened on one pool."""

    __slots__ = (
        "at",
        "failed",
        "given_up",
        "holders",
        "longest",
        "place",
        "seconds",
        "streams",
        "timed_out",
        "waited",
    )

    def __init__(self, place: Place) -> None:
        self.place = place
        """The line of the request that waited longest."""
        self.failed = self.given_up = self.waited = 0
        self.streams = False
        """The longest wait was for a stream of an HTTP/2 connection, not for the connection."""
        self.timed_out = False
        """The library itself raised a pool timeout."""
        self.seconds = self.longest = 0.0
        self.holders: list[Holder] = []
        self.at: float | None = None
        """When the holders were noted."""


class _Open:
    """The connections of one pool."""

    __slots__ = ("ids", "peak")

    def __init__(self) -> None:
        self.ids: set[int] = set()
        self.peak = 0


class PoolExhausted(Rule):
    """The rule. State: a few numbers per pool that a request waited for, and who held it at the worst wait."""

    code: ClassVar[str] = "PS105"
    title: ClassVar[str] = "pool exhausted"
    by_cost: ClassVar[bool] = False
    explanation: ClassVar[str] = (
        "A pool has a limited number of connections. When all are in use, the next request waits: for a slow answer, "
        "or for ever if a response is never read or closed."
    )

    def __init__(self) -> None:
        self._pools: Bounded[tuple[int, int], _Starved] = Bounded()
        self._open: Bounded[tuple[int, int], _Open] = Bounded()

    def connection(self, record: Connection) -> None:
        """Count it in its pool: only a pool that was full once makes requests wait."""
        if record.pool is None or record.opened_at is None:
            return
        known = self._open.get_or_put((record.pid, record.pool), _Open)
        if record.closed_at is None:
            known.ids.add(record.id)
            known.peak = max(known.peak, len(known.ids))
        else:
            known.ids.discard(record.id)

    def exchange(self, record: Exchange) -> None:
        """Count an exchange that waited long, or in vain."""
        wait = record.pool_wait
        if not wait or record.pool is None:
            return
        in_vain = record.connection is None and record.error is not None
        timed_out = in_vain and (record.error or "").rpartition(".")[2] in _TIMEOUTS
        if in_vain and (timed_out or wait >= HOPELESS):
            starved = self._starved(record, wait)
            starved.failed += 1
            starved.timed_out = starved.timed_out or timed_out
        elif wait >= LONG:
            starved = self._starved(record, wait)
            starved.waited += 1
            starved.given_up += in_vain

    def progress(self, record: Exchange) -> None:
        """See who holds the slots for which an unfinished request waits."""
        if record.holders is not None and record.pool is not None:
            self._look(self._of(record), record)

    def _starved(self, record: Exchange, wait: float) -> _Starved:
        starved = self._of(record)
        starved.seconds += wait
        if wait >= starved.longest:
            starved.longest = wait
            starved.place = self.known.place_of(record)
            starved.streams = record.waited_for == "stream"
        self._look(starved, record)
        return starved

    def _of(self, record: Exchange) -> _Starved:
        return self._pools.get_or_put(
            (record.pid, record.pool or 0), lambda: _Starved(self.known.place_of(record))
        )

    def _look(self, starved: _Starved, record: Exchange) -> None:
        if record.holders:
            starved.holders = record.holders
            starved.at = record.finished_at

    def findings(self) -> list[Finding]:
        """One per process and pool."""
        return [
            self._finding(pool, starved)
            for (pid, pool), starved in self._pools.items()
            if _leaked(starved)
            or (_counts(starved) and (starved.timed_out or self._was_full(pid, pool, starved)))
        ]

    def _was_full(self, pid: int, pool: int, starved: _Starved) -> bool:
        """A request may wait for another reason: it lost its connection to others again and again."""
        if _for_streams(starved):
            return True
        limits, known = self.known.pool(pid, pool), self._open.get((pid, pool))
        most = None if limits is None else limits.max_connections
        return most is not None and known is not None and known.peak >= most

    def _finding(self, pool: int, starved: _Starved) -> Finding:
        main = _main(starved.holders)
        limits = self.known.pool(starved.place.pid, pool)
        client = None if limits is None else self.known.client(starved.place.pid, limits.client)
        kind = (client.kind if client is not None else starved.place.kind) or "the pool"
        most = None if limits is None else limits.max_connections
        place = starved.place._replace(kind=kind)
        if main is not None and main.call_site is not None:
            place = place._replace(call_site=main.call_site, sdk_call_site=None)
        found = self.finding(
            place,
            max(starved.failed + starved.waited, 1),
            f"{_what_happened(starved)} {_limit(starved, kind, most)}{_held(main, starved)}.",
            _fix(main, kind, _for_streams(starved)),
            starved.seconds,
            "pool_wait",
            [_slots(holder, starved.at) for holder in starved.holders[:5]],
        )
        found.severity = _severity(starved, main)
        return found


def _for_streams(starved: _Starved) -> bool:
    return starved.streams or (bool(starved.holders) and all(holder.stream for holder in starved.holders))


def _counts(starved: _Starved) -> bool:
    return starved.failed > 0 or starved.waited >= MIN_WAITED


def _leaked(starved: _Starved) -> bool:
    return any(holder.state == "not_given_back" for holder in starved.holders)


def _severity(starved: _Starved, main: Holder | None) -> Severity:
    unread = starved.given_up > 0 and main is not None and main.state == "reading"
    return "warning" if starved.failed or _leaked(starved) or unread else "info"


def _main(holders: list[Holder]) -> Holder | None:
    """The kind of request that holds most of the slots."""
    if not holders:
        return None
    most = max(holders, key=lambda holder: holder.slots)
    return most if most.slots > MOST * sum(holder.slots for holder in holders) else None


def _what_happened(starved: _Starved) -> str:
    origin = starved.place.origin
    waited = (
        f"{starved.longest:.{2 if starved.longest < 9.995 else 1}f} s"
        if starved.longest >= LONG
        else f"{starved.longest * 1000:.0f} ms"
    )
    if starved.failed:
        number, got = starved.failed, "got no connection"
    elif starved.waited:
        number, got = starved.waited, f"waited {LONG:.0f} s or longer for a connection"
    else:
        return f"A request to {origin} is waiting for a connection:"
    requests = "request" if number == 1 else "requests"
    until = "within" if starved.failed else "at most"
    return f"{number:,} {requests} to {origin} {got}{' ' if starved.failed else ', '}{until} {waited}:"


def _limit(starved: _Starved, kind: str, most: int | None) -> str:
    if _for_streams(starved):
        number = sum(holder.slots for holder in starved.holders if holder.stream)
        return f"all {number:,} streams of the HTTP/2 connection were taken" if number else _ALL_STREAMS
    if most is None:
        return f"all connections of {kind} were in use"
    return (
        f"the only one allowed by {kind} was in use"
        if most == 1
        else f"all {most:,} that {kind} allows were in use"
    )


def _held(main: Holder | None, starved: _Starved) -> str:
    if main is None:
        return ""
    some = "" if main.slots == sum(holder.slots for holder in starved.holders) else f"{main.slots:,} of them "
    return f", {some}by {_request(main)}, {_STATES.get(main.state, main.state)}"


def _request(holder: Holder) -> str:
    return f"{holder.method or 'requests'} {holder.url or ''}".strip()


def _slots(holder: Holder, at: float | None) -> str:
    age = (
        "" if at is None or holder.since is None else f", the oldest for {max(at - holder.since, 0.0):.1f} s"
    )
    where = (
        ""
        if holder.call_site is None
        else f", sent at {holder.call_site.at()} in {holder.call_site.function}"
    )
    return (
        f"{holder.slots:,} held by {_request(holder)}, {_STATES.get(holder.state, holder.state)}{age}{where}."
    )


def _fix(main: Holder | None, kind: str, for_streams: bool) -> str:
    library = kind.partition(".")[0]
    if main is not None and main.state in _FIXES:
        return _FIXES[main.state]
    if for_streams or (main is not None and main.stream):
        return "Run fewer requests at once, or use a second client for the slow ones."
    larger = _LARGER.get(library, f"pass limits={library}.Limits(max_connections=…) with a higher limit")
    long = "" if main is None else " Use a separate client for the slow requests."
    return f"Run fewer requests at once, or {larger}.{long}"

"""How many connections were open, idle and waited for, over time."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable, Iterator
from typing import Final

from poolscope.findings.known import Key

POINTS: Final = 50_000
"""Most values of a series; if there are more changes, those of the same moment are added up."""
SPANS: Final = 1_000
"""Busy times of one connection that later streams may still overlap."""


class _Changes:
    """Ups and downs in any order."""

    def __init__(self) -> None:
        self._ups: array[float] = array("d")
        self._downs: array[float] = array("d")
        self.up = self._ups.append
        self.down = self._downs.append

    def __len__(self) -> int:
        return len(self._ups) + len(self._downs)

    @property
    def earliest(self) -> float:
        """When something went up first."""
        return min(self._ups, default=0.0)

    @property
    def latest(self) -> float:
        """When something went down last."""
        return max(self._downs, default=0.0)

    def series(self) -> Iterator[tuple[float, int]]:
        """(time, change) in the order of time."""
        ups, downs = array("d", sorted(self._ups)), array("d", sorted(self._downs))
        at = to = 0
        while at < len(ups) or to < len(downs):
            if to >= len(downs) or (at < len(ups) and ups[at] <= downs[to]):
                yield ups[at], 1
                at += 1
            else:
                yield downs[to], -1
                to += 1


class Occupancy:
    """Feed it what happened; call `series` once, at the end."""

    def __init__(self) -> None:
        self._open, self._busy, self._waiting = _Changes(), _Changes(), _Changes()
        self._streams: dict[Key, list[tuple[float, float]]] = {}

    def __repr__(self) -> str:
        return f"<Occupancy, {len(self._streams)} connections with streams>"

    def opened(self, at: float) -> None:
        """A connection became usable."""
        self._open.up(at)

    def closed(self, connection: Key, at: float) -> None:
        """A connection is gone."""
        self._open.down(at)
        self._settle(self._streams.pop(connection, []))

    def waited(self, start: float, end: float) -> None:
        """A request waited for a connection."""
        self._waiting.up(start)
        self._waiting.down(end)

    def busy(self, connection: Key, start: float, end: float, streams: bool) -> None:
        """A connection had a request on it; with streams, perhaps others at the same time."""
        if not streams:
            self._settle([(start, end)])
            return
        spans = joined([*self._streams.get(connection, ()), (start, end)])
        if len(spans) > SPANS:
            self._settle(spans[: SPANS // 2])
            spans = spans[SPANS // 2 :]
        self._streams[connection] = spans

    def _settle(self, spans: list[tuple[float, float]]) -> None:
        for start, end in spans:
            self._busy.up(start)
            self._busy.down(end)

    def series(self) -> Iterator[tuple[str, float, int]]:
        """(name, time, value), each name in the order of time."""
        for spans in self._streams.values():
            self._settle(spans)
        self._streams.clear()
        taken = ((at, -change) for at, change in self._busy.series())
        idle = heapq.merge(self._open.series(), taken)
        for name, changes, number in (
            ("open", self._open.series(), len(self._open)),
            ("idle", idle, len(self._open) + len(self._busy)),
            ("waiting", self._waiting.series(), len(self._waiting)),
        ):
            gap = self._span() / POINTS if number > POINTS else 0.0
            yield from ((name, at, value) for at, value in values(changes, gap))

    def _span(self) -> float:
        return max(self._open.latest, self._busy.latest) - min(self._open.earliest, self._busy.earliest)


def values(changes: Iterable[tuple[float, int]], gap: float) -> Iterator[tuple[float, int]]:
    """(time, sum so far), once for all that changes within ``gap`` seconds."""
    value, since, last = 0, None, 0.0
    for at, change in changes:
        if since is not None and at > since + gap:
            yield last, max(0, value)
            since = at
        since = at if since is None else since
        value, last = value + change, at
    if since is not None:
        yield last, max(0, value)


def joined(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same time covered by spans that do not overlap."""
    found: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found

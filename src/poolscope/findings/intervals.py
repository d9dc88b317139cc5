"""Busy time in bounded memory: the union of intervals, and the sum of their lengths."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final

CAPACITY: Final = 64


class BusyTime:
    """How much elapsed time a set of intervals covers, however much they overlap. Times in seconds.

    Only the newest `CAPACITY` gaps are remembered. The time before the oldest one is settled: an interval
    that comes late and reaches back there is cut, so `elapsed` may be too small but never too large.
    """

    __slots__ = ("_floor", "_settled", "_spans", "first", "summed")

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []
        self._settled = 0.0
        self._floor = float("-inf")
        self.first = float("inf")
        """The earliest start of all."""
        self.summed = 0.0

    def __repr__(self) -> str:
        return f"<BusyTime elapsed={self.elapsed:.6f} summed={self.summed:.6f}>"

    @property
    def elapsed(self) -> float:
        """Seconds in which at least one interval ran."""
        return self._settled + sum(end - start for start, end in self._spans)

    @property
    def last(self) -> float:
        """The latest end of all."""
        return self._spans[-1][1] if self._spans else self._floor

    @property
    def overlap(self) -> float:
        """Elapsed divided by summed: 1.0 when nothing ran in parallel, 0.1 when ten always did."""
        return min(1.0, self.elapsed / self.summed) if self.summed > 0 else 1.0

    def add(self, start: float, end: float) -> None:
        """Count an interval, unless it ends before it starts."""
        if end < start:
            return
        self.first = min(self.first, start)
        self.summed += end - start
        start = max(start, self._floor)
        if end < start:
            return
        self._merge(start, end)
        if len(self._spans) > CAPACITY:
            oldest, self._floor = self._spans.pop(0)
            self._settled += self._floor - oldest

    def _merge(self, start: float, end: float) -> None:
        spans = self._spans
        at = bisect_left(spans, (start, start))
        if at and spans[at - 1][1] >= start:
            at -= 1
        until = at
        while until < len(spans) and spans[until][0] <= end:
            start, end = min(start, spans[until][0]), max(end, spans[until][1])
            until += 1
        spans[at:until] = [(start, end)]


class Moments:
    """The newest `capacity` of some moments, to check whether one lay shortly before another."""

    __slots__ = ("_moments", "capacity")

    def __init__(self, capacity: int = 2 * CAPACITY) -> None:
        self.capacity = capacity
        self._moments: list[float] = []

    def add(self, moment: float) -> None:
        """Remember a moment; the oldest is forgotten when there are too many."""
        insort(self._moments, moment)
        if len(self._moments) > self.capacity:
            del self._moments[0]

    def any_before(self, moment: float, within: float) -> bool:
        """Whether a remembered moment is at most ``within`` seconds before ``moment``, or equal to it."""
        at = bisect_left(self._moments, moment)
        if at < len(self._moments) and self._moments[at] == moment:
            return True
        return at > 0 and moment - self._moments[at - 1] <= within

    def take_before(self, moment: float, within: float) -> bool:
        """As `any_before`; the moment, the oldest of several, is then forgotten."""
        at = bisect_left(self._moments, moment - within)
        taken = at < len(self._moments) and self._moments[at] <= moment
        if taken:
            del self._moments[at]
        return taken

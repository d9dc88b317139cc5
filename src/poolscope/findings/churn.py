"""The sums over the short-lived clients of one habit: their number, their cost, the saving."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from poolscope.findings.intervals import CAPACITY, BusyTime, Moments
from poolscope.findings.parts import added

ONE_BY_ONE: Final = 0.98
"""If elapsed over summed busy time is at least this, nothing ran side by side."""
MOMENT: Final = 1e-6
"""Seconds that rounding may add."""


Runner: TypeAlias = tuple[int | None, str | None]
"""The thread and the task that sent a request: what one runner does, it does one after the other."""


class ShortLife(NamedTuple):
    """One client that was thrown away although its server keeps connections alive."""

    spans: tuple[tuple[float, float], ...]
    """(started_at, finished_at) of its exchanges."""
    keepalive: float
    """Seconds that a connection of its pool may stay idle."""
    built_at: float
    construction: float
    setup: float
    """Seconds, like construction; setup is part of the exchange that waited for it."""
    parts: dict[str, float]
    """The phases of its setup."""
    closes: tuple[tuple[float, float], ...]
    """When the library's closing of its connections began and ended."""

    @property
    def cost(self) -> float:
        """Seconds that a request on an existing client would have saved."""
        return self.construction + self.setup + self.closing

    @property
    def closing(self) -> float:
        """Seconds of the library's closing of its connections."""
        return sum(end - start for start, end in self.closes)

    @property
    def working(self) -> float:
        """Seconds of its exchanges, less the setup within them."""
        return max(0.0, sum(end - start for start, end in self.spans) - self.setup)

    def cost_by_part(self) -> dict[str, float]:
        """The parts of the cost."""
        other = max(0.0, self.setup - sum(self.parts.values()))
        return added(
            ({"construction": self.construction}, self.parts, {"other_setup": other, "close": self.closing})
        )


class Churn:
    """Sums over many short lives, in bounded memory.

    Lives come in the order in which clients were closed, not built, so the newest `CAPACITY` wait, sorted by
    start, until it is settled whether another request ended shortly before them.
    """

    def __init__(self) -> None:
        self.built = 0
        """All clients of this habit."""
        self.clients = 0
        """Clients that were thrown away although their server keeps connections."""
        self.calls = 0
        self.cost = 0.0
        self.working = 0.0
        """Seconds of their requests, less the setup within them."""
        self.failing = 0
        """Clients with an answer that is worth a retry."""
        self.large = 0
        """Clients with answers too large for the first packets of a connection."""
        self.parts: dict[str, float] = {}
        self.long_lived = 0
        """Clients of the same habit that were used for more."""
        self.refused = 0
        """Clients with a connection that the server would not keep, or that was lost otherwise."""
        self.silent = 0
        """Those of them with a server that closed it right after an answer, without saying so."""
        self.peak: int | None = 0
        """Exchanges in flight from this call site at most; None where that was not observed."""
        self.runners: set[Runner] = set()
        """Who sent their requests; one more than one is as good as all of them."""
        self.busy = BusyTime()
        self._ends = Moments()
        self._waiting: list[tuple[float, float, float]] = []
        self._followed = 0
        self._followed_cost = 0.0

    def __repr__(self) -> str:
        return f"<Churn {self.clients} short, {self.long_lived} long, {self.refused} refused, cost={self.cost:.6f}>"

    def saw_in_flight(self, number: int | None) -> None:
        """Take a client's peak in flight into account."""
        if self.peak is not None:
            self.peak = None if number is None else max(self.peak, number)

    def saw_runners(self, runners: set[Runner]) -> None:
        """Take into account who used a client."""
        if len(self.runners) < 2:
            self.runners |= runners

    def add(self, life: ShortLife) -> None:
        """Count one more client."""
        self.clients += 1
        self.calls += len(life.spans)
        self.cost += life.cost
        self.working += life.working
        self.parts = added((self.parts, life.cost_by_part()))
        # All parts of the cost are busy time too, so that parallel construction is not counted in full.
        self.busy.add(life.built_at, life.built_at + life.construction)
        for start, end in (*life.closes, *life.spans):
            self.busy.add(start, end)
        self._ends.add(max(end for _, end in life.spans))
        insort(self._waiting, (min(start for start, _ in life.spans), life.keepalive, life.cost))
        if len(self._waiting) > CAPACITY:
            followed, cost = self._follows(self._waiting.pop(0))
            self._followed += followed
            self._followed_cost += cost

    def _follows(self, waiting: tuple[float, float, float]) -> tuple[int, float]:
        start, keepalive, cost = waiting
        return (1, cost) if self._ends.any_before(start, keepalive) else (0, 0.0)

    def _all_followed(self) -> tuple[int, float]:
        each = [self._follows(waiting) for waiting in self._waiting]
        return (
            self._followed + sum(followed for followed, _ in each),
            self._followed_cost + sum(cost for _, cost in each),
        )

    def avoidable(self) -> int:
        """Connections that a shared client would not have opened: they followed, and exceed the peak in flight."""
        followed, _ = self._all_followed()
        return max(0, min(followed, self.clients - (self.peak or 1)))

    def saving(self) -> float | None:
        """Elapsed seconds; None unless everything happened one after the other: only then the sum is proven."""
        if self.peak != 1 or self.busy.overlap < ONE_BY_ONE:
            return None
        followed, cost = self._all_followed()
        return cost * self.avoidable() / followed if followed else 0.0


def took_turns(churns: Sequence[Churn]) -> bool:
    """Whether one thread or task ran them all, and had the time to run one after the other."""
    runners = set[Runner]().union(*(churn.runners for churn in churns))
    # Greenlets share a thread, and tasks a name: what takes longer than there was time for did not take turns.
    period = max(churn.busy.last for churn in churns) - min(churn.busy.first for churn in churns)
    fits = sum(churn.busy.elapsed for churn in churns) <= period + MOMENT
    return fits and len(runners) == 1 and all(thread is not None for thread, _ in runners)

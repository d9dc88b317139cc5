"""The heartbeat of an event loop: when did it stand still, for whatever reason?

A loop may be late because something on it was busy, or because the machine was. The watch over a loop (`story.busy`)
cannot tell these apart, and need not; a test that says what is *not* busy must leave out what stood still anyway.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise

from poolscope.facts import now
from poolscope.story.busy import EVERY, LATE

BEAT = 0.001


class Beats:
    """The moments at which a loop had a turn; `run` is a task on that loop."""

    def __init__(self) -> None:
        self.moments: list[float] = []
        self.stopping = False

    async def run(self) -> None:
        while not self.stopping:
            self.moments.append(now())
            await asyncio.sleep(BEAT)
        self.moments.append(now())

    def stood_still(self, start: float, end: float) -> float:
        """The most seconds from ``start`` to ``end`` in which a timer that is due every `EVERY` seconds could be late.

        A timer that is late by `LATE` or more saw at most one beat meanwhile: its wait has a gap of half of that at
        least, and may reach that far beyond the gap. What it was late by may also be due to a gap just before.
        """
        late = EVERY
        for before, after in pairwise(self.moments):
            if after - before >= LATE / 2:
                late += max(0.0, min(after, end) - max(before, start) + LATE / 2)
        return late

"""asyncio: when an event loop was busy, so that a slow setup is not blamed on the network.

A timer that is due every `EVERY` seconds shows it: what makes the timer late also makes each connection of that loop
wait. This is the only work that poolscope itself puts on a program's loop. There is one timer per loop, and only while
a setup is under way on it.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable
from contextvars import Context
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

from poolscope.facts import PhaseName, now
from poolscope.story.runtime import running_loop

EVERY: Final = 0.01
LATE: Final = 0.005
"""Less is what any timer is late by."""
LONGEST: Final = 30.0
"""So many seconds after the newest setup began, the timer ends: perhaps the end of a setup was not seen."""
KEPT: Final = 512
"""Stretches in which a loop was busy."""
KNOWN_LOOPS: Final = ("asyncio", "uvloop") if sys.platform != "win32" else ()
"""The packages of loops with a real clock; a program's own loop may move its clock itself. Windows' timers are late by more
than `LATE` even if nothing is busy."""


class LoopWatch:
    """Notes when one loop is busy, while setups are under way on it."""

    __slots__ = ("_ahead", "_due", "_loop", "_setups", "_ticking", "_timer", "_until", "busy", "since")

    def __init__(self, loop: Any) -> None:
        self._loop = ref(loop)
        self._timer: Any = None  # a weak reference: a timer knows its loop, which may be closed by now
        self._ticking = False
        self._setups = 0
        self._due = self._until = self._ahead = 0.0
        self.since = 0.0
        """When it began to look."""
        self.busy: deque[tuple[float, float]] = deque(maxlen=KEPT)
        """(from, until)."""

    def __repr__(self) -> str:
        return f"<LoopWatch for {self._setups} setups>"

    def begins(self, at: float) -> None:
        """A setup begins at ``at``."""
        loop = self._loop()
        self._setups += 1
        self._until = at + LONGEST
        if not self._ticking and loop is not None:
            self.since, self._ahead = at, loop.time() - now()
            self.busy.clear()
            self._wait(loop, at)

    def ends(self, began: float, phases: Iterable[tuple[PhaseName, float, float]]) -> dict[PhaseName, float]:
        """A setup that ``began`` then is over: how long the loop was busy in its ``phases``; empty if unknown."""
        loop, at = self._loop(), now()
        known = False
        if loop is not None and self._ticking and self.since <= began:
            # Else somebody moved its clock. Between two looks at clocks this thread may be held up: they are side by side.
            known = _in_c(loop) or abs(loop.time() - now() - self._ahead) < LATE
            self._look(at)
        self._setups = max(self._setups - 1, 0)
        if self._setups <= 0 and loop is running_loop():
            self._stop()
        return self._within(phases) if known else {}

    def _within(self, phases: Iterable[tuple[PhaseName, float, float]]) -> dict[PhaseName, float]:
        within: dict[PhaseName, float] = {}
        for phase, start, end in phases:
            seconds = 0.0
            for begun, over in reversed(self.busy):
                if over <= start:
                    break
                seconds += max(0.0, min(over, end) - max(begun, start))
            within[phase] = within.get(phase, 0.0) + seconds
        return within

    def _wait(self, loop: Any, at: float) -> None:
        self._due = at + EVERY
        self._ticking = True
        timer = loop.call_later(EVERY, self._tick, context=Context())
        try:
            self._timer = ref(timer)
        except TypeError:
            self._timer = None

    def _stop(self) -> None:
        timer = None if self._timer is None else self._timer()
        if timer is not None:
            timer.cancel()
            self._ticking = False  # else it runs out by itself

    def _tick(self) -> None:
        loop, at = self._loop(), now()
        self._ticking = False
        self._look(at)
        if at >= self._until:
            self._setups = 0  # the end of a setup was not seen
        elif self._setups > 0 and loop is not None:
            self._wait(loop, at)

    def _look(self, at: float) -> None:
        """The loop is at work at ``at``, and a timer was due before."""
        if at - self._due >= LATE:
            self.busy.append((self._due, at))
            self._due = at


_watches: Final[WeakKeyDictionary[Any, LoopWatch]] = WeakKeyDictionary()


def watch_loop(at: float) -> LoopWatch | None:
    """Watch the running loop for a setup that begins at ``at``; None outside of asyncio."""
    loop = running_loop()
    if loop is None or type(loop).__module__.partition(".")[0] not in KNOWN_LOOPS:
        return None
    watch = _watches.get(loop)
    if watch is None:
        watch = _watches[loop] = LoopWatch(loop)
    watch.begins(at)
    return watch


def _in_c(loop: Any) -> bool:
    """Whether nobody can move its clock, which is as old as the current turn of the loop."""
    return not type(loop).__module__.startswith("asyncio.")

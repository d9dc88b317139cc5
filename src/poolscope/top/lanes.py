"""Connections as lanes that move to the left, a mark a look."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from poolscope.look.frame import LaneNow
from poolscope.look.merge import Together
from poolscope.reports.printable import printable

KEPT: Final = 600
"""Marks of a lane at most: ten minutes of one a second."""
LEGEND: Final = "┄ connecting  █ busy  ▒ used since the last look  ─ idle"
LABEL: Final = 34
_MARKS: Final = {"connecting": "┄", "active": "█", "idle": "─"}


class Key(NamedTuple):
    """Which connection of which process."""

    pid: int
    connection: int


class _Lane:
    def __init__(self, looks_before: int) -> None:
        self.marks: deque[str] = deque(" " * min(looks_before, KEPT), KEPT)
        self.requests = 0
        self.origin = ""

    def moves(self, lane: LaneNow) -> None:
        used = self.requests and lane.requests > self.requests and lane.state == "idle"
        self.marks.append("▒" if used else _MARKS.get(lane.state, "?"))
        self.requests, self.origin = lane.requests, lane.origin


class Lanes:
    """What the connections did at each look so far."""

    def __init__(self) -> None:
        self._lanes: dict[Key, _Lane] = {}
        self._looks = 0

    def __repr__(self) -> str:
        return f"<Lanes of {len(self._lanes)} connections, {self._looks} looks>"

    def add(self, shown: Together) -> None:
        """One more look: every lane moves on; closed ones disappear."""
        here = {Key(of.pid, of.item.connection): of.item for of in shown.lanes}
        self._lanes = {key: lane for key, lane in self._lanes.items() if key in here}
        for key, item in here.items():
            self._lanes.setdefault(key, _Lane(self._looks)).moves(item)
        self._looks += 1

    def drawn(self, columns: int, wanted: str) -> list[str]:
        """One line per connection: its process, and its newest marks at the right edge."""
        width = max(columns - LABEL - 1, 1)
        lines = []
        for key, lane in sorted(self._lanes.items()):
            label = f"#{key.connection} {lane.origin} ({lane.requests:,})"
            if wanted and wanted.lower() not in f"{label} {key.pid}".lower():
                continue
            if len(label) > LABEL:
                label = f"{label[: LABEL - 1]}…"
            marks = "".join(list(lane.marks)[-width:])
            lines.append(f"{printable(label):<{LABEL}} {marks:>{width}}")
        return lines

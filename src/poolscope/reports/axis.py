"""Lanes drawn to scale below each other, on one axis of time.

``━━━━████··········████`` is a setup, a request, an idle time, a request; ``!`` a request without a good answer, ``▒`` a
stretch of requests that were not kept one by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby, pairwise
from typing import Final, NamedTuple

from poolscope.reports.lanes import EDGE, Alike, Bar, Lane, Segment
from poolscope.reports.words import plain, seconds

SETUP: Final = ("setup", "━")
REQUEST: Final = ("request", "█")
FAILED: Final = ("failed", "!")
MANY: Final = ("request", "▒")
IDLE: Final = ("idle", "·")
NOTHING: Final = ("", " ")
MEANING: Final = {
    "━": "setup",
    "█": "a request",
    "▒": "many requests",
    "!": "a request without a good answer",
    "·": "idle",
}
"""The meaning of the signs, in the order of the legend."""


class Axis(NamedTuple):
    """A period of time, drawn on a number of columns."""

    start: float
    end: float
    width: int

    @classmethod
    def of(cls, lanes: Iterable[Lane], width: int) -> Axis | None:
        """The period that contains all lanes; None if no time is known."""
        times = [time for lane in lanes for time in (_began(lane), _ended(lane)) if time is not None]
        return cls(min(times), max(times), width) if times else None

    def column(self, time: float) -> int:
        """The edge between two columns that is nearest to a moment: 0 to the width."""
        span = self.end - self.start
        share = (time - self.start) / span if span > 0 else 0.0
        return round(min(1.0, max(0.0, share)) * self.width)

    def title(self, zero: float | None) -> str:
        """When it begins, in seconds since ``zero``, and how much time it shows."""
        first = "" if zero is None else f"+{seconds(self.start - zero, '')}"
        last = f"{seconds(self.end - self.start, '')} long"
        return f"{first}{'─' * (self.width - len(first) - len(last))}{last}"

    def draw(self, lane: Lane) -> list[Segment]:
        """A lane, exactly as wide as the axis."""
        cells: list[Segment] = [NOTHING] * self.width
        began, ended, opened = _began(lane), _ended(lane), lane.connection.opened_at
        self._paint(cells, began, ended, IDLE)
        if lane.setup_time and began is not None:
            self._paint(cells, began, opened if opened is not None else began + lane.setup_time, SETUP)
        kept = lane.kept()
        if lane.seen > len(kept) and len(kept) > EDGE:
            self._paint(cells, lane.bars[-1].end, (lane.newest or lane.bars)[0].start, MANY)
        for bar in sorted(kept, key=lambda bar: bar.failed):  # failed requests are never painted over
            self._paint(cells, bar.start, bar.end, FAILED if bar.failed else REQUEST)
        return [
            (style, "".join(sign for _, sign in run))
            for style, run in groupby(cells, key=lambda cell: cell[0])
        ]

    def _paint(self, cells: list[Segment], start: float | None, end: float | None, cell: Segment) -> None:
        if start is None or end is None:
            return
        first, last = min(self.column(start), self.width - 1), self.column(end)
        for number in range(first, max(first + 1, last)):
            cells[number] = cell


def _began(lane: Lane) -> float | None:
    connection = lane.connection
    began = connection.setup_started_at if connection.setup_started_at is not None else connection.opened_at
    return began if began is not None else next((bar.start for bar in lane.kept()), None)


def _ended(lane: Lane) -> float | None:
    ends = [bar.end for bar in lane.kept()]
    known = [
        time for time in (*ends, lane.connection.closed_at, lane.connection.opened_at) if time is not None
    ]
    return max(known, default=None)


def in_words(alike: Alike) -> list[Segment]:
    """A lane in words: setup, number of requests, the first failed and the last one, its end, and how many are like
    it.
    """
    lane, number = alike
    words = [("setup", part) for part in _setup(lane)] + _requests(lane)
    if lane.in_progress:
        words.append(("failed", f"{lane.in_progress:,} in progress"))
    joined = [segment for word in words for segment in (("label", " · "), word)][1:]
    others = [("label", f", and {number - 1:,} alike")] if number > 1 else []
    return [*joined, ("", " " if joined else ""), _end(lane), *others]


def _setup(lane: Lane) -> list[str]:
    if lane.connection.inherited:
        return ["inherited"]
    return [f"setup {seconds(lane.setup_time, '')}"] if lane.setup_time else []


def _requests(lane: Lane) -> list[Segment]:
    kept = lane.kept()
    if len(kept) < 2:
        return [_outcome(bar) for bar in kept]
    parallel = ", some at the same time" if _side_by_side(kept) else ""
    last = _outcome(kept[-1], "last ")
    failed = [] if kept[-1].failed else [_outcome(bar) for bar in lane.failed[:1]]
    return [("", f"{lane.seen:,} requests{parallel}"), *failed, last]


def _outcome(bar: Bar, lead: str = "") -> Segment:
    took = "" if bar.start is None or bar.end is None else f" {seconds(max(0.0, bar.end - bar.start), '')}"
    what = bar.status if bar.error is None else bar.error.rpartition(".")[2]
    return "failed" if bar.failed else "request", f"{lead}{what or 'no answer'}{took}"


def _side_by_side(kept: list[Bar]) -> bool:
    return any(
        before.end is not None and bar.start is not None and bar.start < before.end
        for before, bar in pairwise(kept)
    )


def _end(lane: Lane) -> Segment:
    connection = lane.connection
    if connection.failed_phase is not None:
        error = f" ({connection.error.rpartition('.')[2]})" if connection.error else ""
        return "failed", f"✕ failed in {plain(connection.failed_phase)}{error}"
    if connection.close_reason is None:
        return "end", "→ still open"
    return "failed" if lane.troubled else "end", f"✕ {plain(connection.close_reason)}"

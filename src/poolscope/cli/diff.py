"""``poolscope diff``: two recordings side by side, so that a fix can be shown to work."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from poolscope import records
from poolscope.reports.picture import Picture
from poolscope.reports.printable import page


@dataclass(slots=True)
class Figures:
    """What a recording comes to. Seconds where not counted."""

    wall_time: float | None = None
    """Of the first process."""
    requests: int = 0
    connections: int = 0
    failed_setups: int = 0
    setup: float = 0.0
    pool_wait: float = 0.0
    clients: int = 0
    findings: int = 0
    exit_code: int | None = None
    reused_known: int = 0
    reused_count: int = 0

    @property
    def reused(self) -> float | None:
        """Share of the requests that ran on a connection that was there before, where that is known."""
        return self.reused_count / self.reused_known if self.reused_known else None


class Counter:
    """Adds up a stream of records; only what is still open is kept."""

    def __init__(self) -> None:
        self.figures = Figures()
        self.origins: dict[str, Figures] = {}
        self._picture = Picture()
        self._first: int | None = None
        self._open: dict[tuple[type, int, int], None] = {}
        self._left = False
        self._in_progress: dict[tuple[int, int], records.Exchange] = {}

    def add(self, record: records.Record) -> None:
        """Take in the next record."""
        self._picture.add(record)
        if isinstance(record, records.Header):
            self._first = record.pid if self._first is None else self._first
        elif isinstance(record, records.Summary):
            if record.pid == self._first:
                self.figures.wall_time, self.figures.exit_code = record.wall_time, record.exit_code
        elif isinstance(record, records.Exchange):
            self._exchange(record)
        elif isinstance(record, records.Connection):
            self._connection(record)
        elif isinstance(record, records.Client):
            self.figures.clients += self._is_new(record, record.close_kind is not None)

    def _exchange(self, record: records.Exchange) -> None:
        key = (record.pid, record.id)
        before = self._in_progress.pop(key, None)
        if before is not None:
            self._count(before, -1)
        self._count(record, 1)
        if record.state is not None:
            if len(self._in_progress) >= OPEN:
                del self._in_progress[next(iter(self._in_progress))]
            self._in_progress[key] = record

    def _count(self, record: records.Exchange, times: int) -> None:
        for figures in (self.figures, self._origin(record.origin)):
            figures.requests += times
            figures.pool_wait += times * (record.pool_wait or 0.0)
            if record.reused is not None:
                figures.reused_known += times
                figures.reused_count += times * record.reused

    def _connection(self, record: records.Connection) -> None:
        failed = record.failed_phase is not None
        if not failed and not self._is_new(record, record.closed_at is not None):
            return
        total = record.setup.get("total")
        for figures in (self.figures, self._origin(record.origin)):
            figures.failed_setups += failed
            figures.connections += not failed and not record.inherited
            figures.setup += 0.0 if total is None or record.inherited else total.duration

    def _is_new(self, record: records.Connection | records.Client, over: bool) -> bool:
        key = (type(record), record.pid, record.id)
        known = key in self._open
        if over:
            self._open.pop(key, None)
            return not known and not self._left
        if not known and len(self._open) >= OPEN:
            del self._open[next(iter(self._open))]
            self._left = True
        self._open[key] = None
        return not known

    def _origin(self, origin: str) -> Figures:
        if origin not in self.origins and len(self.origins) >= ORIGINS:
            origin = "other"
        return self.origins.setdefault(origin, Figures())

    def done(self) -> Counter:
        """Itself, with the findings worked out."""
        self.figures.findings = len(self._picture.findings())
        return self


OPEN: Final = 20_000
"""Clients and connections that are remembered as open; beyond it the oldest is taken to stay so."""
ORIGINS: Final = 1_000
"""Origins told apart."""
SHOWN: Final = 20
"""Origins that get a block of their own in the text."""


def _number(value: float | None) -> str:
    return "–" if value is None else f"{int(value):,}"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.3f} s"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


_ROWS: Final[tuple[tuple[str, str, Callable[[float | None], str]], ...]] = (
    ("wall time", "wall_time", _seconds),
    ("requests", "requests", _number),
    ("connections", "connections", _number),
    ("failed setups", "failed_setups", _number),
    ("reused", "reused", _share),
    ("setup", "setup", _seconds),
    ("pool wait", "pool_wait", _seconds),
    ("clients", "clients", _number),
    ("findings", "findings", _number),
)
_OF_AN_ORIGIN: Final = ("requests", "connections", "failed_setups", "reused", "setup", "pool_wait")
_OF_ALL: Final = (*(name for _, name, _ in _ROWS), "exit_code")


def text(before: Counter, after: Counter, names: tuple[str, str]) -> str:
    """The comparison as a table."""
    lines = [_line("", "before", "after", "change")]
    for label, attribute, show in _ROWS:
        lines.append(_row(label, attribute, show, before.figures, after.figures))
    origins = [*before.origins, *(origin for origin in after.origins if origin not in before.origins)]
    for origin in origins[:SHOWN] if len(origins) > 1 else []:
        was, now = before.origins.get(origin, Figures()), after.origins.get(origin, Figures())
        lines += ["", origin]
        lines += [_row(label, name, show, was, now) for label, name, show in _ROWS if name in _OF_AN_ORIGIN]
    if len(origins) > SHOWN:
        lines += ["", f"and {len(origins) - SHOWN} more origins"]
    return page([f"before  {names[0]}", f"after   {names[1]}", "", *lines])


def _row(label: str, attribute: str, show: Callable[[float | None], str], was: Figures, now: Figures) -> str:
    before, after = getattr(was, attribute), getattr(now, attribute)
    return _line(label, show(before), show(after), _change(before, after, show))


def _line(label: str, before: str, after: str, change: str) -> str:
    return f"{label:<14}{before:>14}{after:>14}  {change}".rstrip()


def _change(before: float | None, after: float | None, show: Callable[[float | None], str]) -> str:
    if before is None or after is None or before == after:
        return "" if before != after or before is None else "same"
    sign = "+" if after > before else "−"
    difference = f"{sign}{show(abs(after - before))}"
    if show is _share:  # a difference of shares is no share itself
        return difference.replace("%", " points")
    if not before or not after:
        return difference
    return (
        f"{difference} ({after / before:.2f}×)"
        if after > before
        else f"{difference} ({before / after:.1f}× less)"
    )


def as_json(before: Counter, after: Counter) -> str:
    """The comparison for programs."""
    data = {
        when: {
            "total": _plain(counter.figures, _OF_ALL),
            "origins": {k: _plain(v, _OF_AN_ORIGIN) for k, v in counter.origins.items()},
        }
        for when, counter in (("before", before), ("after", after))
    }
    return json.dumps(data, indent=2) + "\n"


def _plain(figures: Figures, names: Sequence[str]) -> dict[str, float | int | None]:
    return {name: getattr(figures, name) for name in names}

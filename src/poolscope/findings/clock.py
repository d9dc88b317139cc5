"""How long each process has run, according to its records."""

from __future__ import annotations

from typing import Final

from poolscope.records import Client, Connection, Exchange, Header, Record, Summary

_MOMENTS: Final[dict[type, tuple[str, ...]]] = {
    Header: ("started_at",),
    Client: ("created_at", "closed_at"),
    Connection: ("setup_started_at", "closed_at"),
    Exchange: ("finished_at",),
    Summary: ("ended_at",),
}


class Clock:
    """The earliest and the latest moment that the records of each process name."""

    __slots__ = ("_first", "_last")

    def __init__(self) -> None:
        self._first: dict[int, float] = {}
        self._last: dict[int, float] = {}

    def __repr__(self) -> str:
        return f"<Clock of {len(self._last)} processes>"

    def elapsed(self, pid: int) -> float:
        """Seconds from the first moment to the last; 0 if none is known."""
        return self._last.get(pid, 0.0) - self._first.get(pid, 0.0)

    def consume(self, record: Record) -> None:
        """Take in the next record of the stream."""
        for name in _MOMENTS.get(type(record), ()):
            self._saw(record.pid, getattr(record, name))

    def _saw(self, pid: int, moment: float | None) -> None:
        if moment is None:
            return
        if moment > self._last.get(pid, float("-inf")):
            self._last[pid] = moment
        if moment < self._first.get(pid, float("inf")):
            self._first[pid] = moment

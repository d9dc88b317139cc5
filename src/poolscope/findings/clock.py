"""How long each process has run, according to its records."""

from __future__ import annotations

from poolscope.records import Client, Connection, Exchange, Header, Record, Summary


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
        kind = type(record)
        if kind is Exchange:
            self._saw(record.pid, record.finished_at)  # type: ignore[union-attr]
        elif kind is Connection:
            self._saw(record.pid, record.setup_started_at)  # type: ignore[union-attr]
            self._saw(record.pid, record.closed_at)  # type: ignore[union-attr]
        elif kind is Client:
            self._saw(record.pid, record.created_at)  # type: ignore[union-attr]
            self._saw(record.pid, record.closed_at)  # type: ignore[union-attr]
        elif kind is Header:
            self._saw(record.pid, record.started_at)  # type: ignore[union-attr]
        elif kind is Summary:
            self._saw(record.pid, record.ended_at)  # type: ignore[union-attr]

    def _saw(self, pid: int, moment: float | None) -> None:
        if moment is None:
            return
        if moment > self._last.get(pid, float("-inf")):
            self._last[pid] = moment
        if moment < self._first.get(pid, float("inf")):
            self._first[pid] = moment

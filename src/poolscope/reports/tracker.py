"""Things that come twice in a stream: those open now, and those recently closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from poolscope.findings.known import Bounded, Key
from poolscope.records import Client, Connection, Exchange

RECENT: Final = 1_024
"""Closed things that are still recognised."""

_Value = TypeVar("_Value")


class Tracker(Generic[_Value]):
    """Values of clients or connections while they are open, and for a while after."""

    def __init__(self) -> None:
        self._open: dict[Key, _Value] = {}
        self._past: Bounded[Key, _Value] = Bounded(RECENT)

    def __repr__(self) -> str:
        return f"<Tracker {len(self._open)} open, {len(self._past)} past>"

    def __setitem__(self, key: Key, value: _Value) -> None:
        self._open[key] = value

    def get(self, pid: int, number: int | None) -> _Value | None:
        """The value of a connection that is open, or was a short while ago."""
        key = (pid, number or 0)
        value = self._open.get(key)
        return self._past.get(key) if value is None else value

    def is_open(self, key: Key) -> bool:
        """Whether it has begun and not ended."""
        return key in self._open

    def end(self, key: Key) -> _Value | None:
        """It is over; None if it was not open."""
        value = self._open.pop(key, None)
        if value is not None:
            self._past.put(key, value)
        return value

    def open(self) -> Iterator[_Value]:
        """The values of all that is open."""
        return iter(self._open.values())


class InProgress:
    """Exchanges that are not over: a later record of the same one replaces the earlier."""

    def __init__(self) -> None:
        self._latest: dict[Key, Exchange] = {}

    def __repr__(self) -> str:
        return f"<InProgress {len(self._latest)}>"

    def over(self, record: Exchange) -> bool:
        """Whether this is the exchange's last record; if not, it is kept until a later one."""
        key = (record.pid, record.id)
        if is_in_progress(record):
            self._latest[key] = record
            return False
        self._latest.pop(key, None)
        return True

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self._latest.values())


def is_in_progress(record: Exchange) -> bool:
    """Whether an exchange had not ended when it was written."""
    return record.state is not None


def is_over(record: Client | Connection) -> bool:
    """Whether this is the last record of a client or connection."""
    if record.closed_at is not None:
        return True
    return record.close_kind is not None if isinstance(record, Client) else record.failed_phase is not None

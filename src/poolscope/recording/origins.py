"""``--origin``: which records concern the origins that were asked for."""

from __future__ import annotations

from collections.abc import Sequence

from poolscope import records
from poolscope.ledger.urls import matches


class OnlyOrigins:
    """Lets only records of some origins pass. Clients and their pools have no origin: they wait until they are used
    for such an origin.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns
        self._waiting: dict[int, list[records.Record]] = {}
        self._used: set[int] = set()

    def __repr__(self) -> str:
        return f"<OnlyOrigins {', '.join(self._patterns)}: {len(self._waiting)} clients not used for them>"

    def sift(self, record: records.Record) -> list[records.Record]:
        """``record``, after the records that waited for it; nothing if it is not wanted, or not yet."""
        if not self._patterns:
            return [record]
        if isinstance(record, records.Exchange | records.Connection):
            if not wanted(record.origin, self._patterns):
                return []
            return [*self._released(record.client), record]
        if isinstance(record, records.Client):
            return self._client(record)
        if isinstance(record, records.Pool) and record.client in self._waiting:
            self._waiting[record.client].append(record)
            return []
        return [record]

    def _client(self, record: records.Client) -> list[records.Record]:
        closed = record.close_kind is not None
        if record.id in self._used:
            if closed:
                self._used.discard(record.id)
            return [record]
        self._waiting.pop(record.id, None)
        if not closed:
            self._waiting[record.id] = [record]
        return []

    def _released(self, client: int | None) -> list[records.Record]:
        if client is None or client not in self._waiting:
            return []
        self._used.add(client)
        return self._waiting.pop(client)


def wanted(origin: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern fits, or there are no patterns."""
    return not patterns or any(matches(origin, pattern) for pattern in patterns)

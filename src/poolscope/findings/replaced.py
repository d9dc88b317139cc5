"""Connections that were closed too soon, and others that are opened while they could still have served."""

from __future__ import annotations

from typing import Final

from poolscope.findings.lives import DEFAULT_KEEPALIVE
from poolscope.records import Connection

MOST: Final = 1_000


class Gone:
    """The closed connections of one pool that nothing has replaced yet."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: list[tuple[float, float]] = []
        """When each was closed, and until when it could have served."""

    def __repr__(self) -> str:
        return f"<Gone {len(self._times)}>"

    def add(self, record: Connection, keepalive: float | None) -> None:
        """A connection was closed; its pool would have kept it idle for ``keepalive`` seconds, if that is known."""
        said = [limit for limit in (keepalive, record.server_keepalive) if limit is not None]
        closed = record.closed_at or 0.0
        self._times.append((closed, closed + min(said, default=DEFAULT_KEEPALIVE)))
        if len(self._times) > MOST:
            del self._times[0]

    def is_replaced_by(self, record: Connection) -> bool:
        """Whether one of them could have served the request for which ``record`` is opened."""
        started = record.setup_started_at or record.opened_at or 0.0
        # Others were closed while it was being set up, so it takes the place of none of them.
        before = next((at for at in reversed(range(len(self._times))) if self._times[at][0] <= started), None)
        if before is None:
            return False
        _, until = self._times.pop(before)
        if until >= started:
            return True
        del self._times[:before]
        return False

"""Connections that were closed too soon, and others that are opened while they could still have served."""

from __future__ import annotations

from typing import Final

from poolscope.findings.lives import DEFAULT_KEEPALIVE
from poolscope.records import Connection

MOST: Final = 1_000


class Gone:
    """The closed connections of one pool that nothing has replaced yet, each with the time until which it could have served."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: list[float] = []

    def __repr__(self) -> str:
        return f"<Gone {len(self._until)}>"

    def add(self, record: Connection, keepalive: float | None) -> None:
        """A connection was closed; its pool would have kept it idle for ``keepalive`` seconds, if that is known."""
        said = [limit for limit in (keepalive, record.server_keepalive) if limit is not None]
        self._until.append((record.closed_at or 0.0) + min(said, default=DEFAULT_KEEPALIVE))
        if len(self._until) > MOST:
            del self._until[0]

    def is_replaced_by(self, record: Connection) -> bool:
        """Whether one of them could have served the request for which ``record`` is opened."""
        started = record.setup_started_at or record.opened_at or 0.0
        if not self._until:
            return False
        if self._until.pop() >= started:
            return True
        self._until.clear()
        return False

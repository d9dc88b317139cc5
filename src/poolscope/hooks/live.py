"""The live path: the three moments at which a door may act in the caller's own task.

A door registers itself with `LIVE.set`; hooks call through `LIVE.door` and never know who listens. A
door's methods are called inside guarded hooks, hold no lock of ours, and get the library's own request
or response object for the length of the call only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from poolscope.facts import Connection, Exchange


class Door(Protocol):
    """What signals/spans implements."""

    def request_started(self, exchange: Exchange, request: Any) -> Iterable[tuple[str, str]] | None:
        """Called before a connection is asked for; returns headers to add to the request (propagation)."""

    def setup_ended(self, connection: Connection, exchange: Exchange | None) -> None:
        """Called by the connecting task once setup succeeded (``opened_at``) or failed (``failed_phase``)."""

    def headers_received(self, exchange: Exchange, response: Any) -> None:
        """Called when the response headers are there; ``exchange.connection`` is set."""

    def request_failed(self, exchange: Exchange, error: BaseException) -> None:
        """Called instead of `headers_received` when there will be none."""


class LivePath:
    """Where the one door that wants the live path is registered."""

    __slots__ = ("door",)

    def __init__(self) -> None:
        self.door: Door | None = None

    def __repr__(self) -> str:
        return f"<LivePath {self.door!r}>"


LIVE = LivePath()

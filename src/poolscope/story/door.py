"""The live path: the moments at which a door may act in the caller's own task.

A door registers itself as `ENTRANCE.door`; the story calls it without knowing what it is. A door's
methods hold no lock of ours and may use the library's own request or response only during the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias

from poolscope.facts import Connection, Exchange
from poolscope.queue import is_the_hosts
from poolscope.story.forgiving import Patience

SPANS: Final = "signals.spans"
"""The door's name among the hooks."""
Moment: TypeAlias = Literal["request_started", "setup_ended", "headers_received", "request_failed"]


class Door(Protocol):
    """What signals/spans implements."""

    def request_started(self, exchange: Exchange, request: Any) -> Sequence[tuple[str, str]] | None:
        """Called before a connection is asked for; returns headers to add to the request (propagation)."""

    def setup_ended(self, connection: Connection, exchange: Exchange | None) -> None:
        """Called by the connecting task once setup succeeded (``opened_at``) or failed (``failed_phase``)."""

    def headers_received(self, exchange: Exchange, response: Any) -> None:
        """Called when the response headers are there; ``exchange.connection`` is set."""

    def request_failed(self, exchange: Exchange, error: BaseException) -> None:
        """Called instead of `headers_received` when there will be none."""


class Entrance:
    """Holds the one door of the live path. A door that raises does no harm: the facts are still true, so the hook that
    called it stays on, and after three failures within a minute the door is left alone for a while.
    """

    __slots__ = ("door", "patience")

    def __init__(self) -> None:
        self.opens(None)

    def __repr__(self) -> str:
        return f"<Entrance to {self.door!r}>"

    def opens(self, door: Door | None) -> None:
        """``door`` is the one from now on, and has not failed yet."""
        self.door = door
        self.patience = Patience(SPANS)

    def tell(self, moment: Moment, one: Any, other: Any) -> Any:
        """Call the door's method ``moment``; None if there is no door or it failed."""
        door, patience = self.door, self.patience
        if door is None or (patience.recent and patience.is_lost):
            return None
        try:
            return getattr(door, moment)(one, other)
        except Exception as error:
            if is_the_hosts(error):
                raise
            patience.failed(error)
            return None


ENTRANCE: Final = Entrance()

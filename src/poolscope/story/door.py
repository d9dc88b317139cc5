"""The live path: the moments at which a door may act in the caller's own task.

A door registers itself as `ENTRANCE.door`; the story calls it without knowing what it is. A door's
methods hold no lock of ours and may use the library's own request or response only during the call.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Protocol

from poolscope.facts import Connection, Exchange
from poolscope.story.hook import Hook


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


class Entrance:
    """Holds the one door of the live path; a door that raises does no harm."""

    __slots__ = ("_hooks", "door")

    def __init__(self) -> None:
        self.door: Door | None = None
        names = ("request_started", "setup_ended", "headers_received", "request_failed")
        self._hooks = {name: Hook(f"live.{name}") for name in names}

    def __repr__(self) -> str:
        return f"<Entrance to {self.door!r}>"

    def tell(self, moment: str, *about: Any) -> Any:
        """Call the door's method ``moment``; None if there is no door or it failed."""
        door, hook = self.door, self._hooks[moment]
        if door is None or hook.disabled:
            return None
        try:
            return getattr(door, moment)(*about)
        except Exception as error:
            if not hook.failed(error):
                raise
            return None


ENTRANCE: Final = Entrance()

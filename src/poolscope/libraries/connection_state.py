"""The state on a library's connection object, which reports when the garbage collector takes it."""

from __future__ import annotations

from poolscope.facts import Exchange
from poolscope.libraries.guard import guard
from poolscope.story.connection import ConnectionMark
from poolscope.story.sight import Era


class ConnectionState:
    """The mark of a connection, and the host's objects that we need while a request is under way.

    Nothing but the connection refers to it, so that it goes with it; the mark refers to sheets only.
    """

    __slots__ = ("era", "mark")

    def __init__(self, era: Era) -> None:
        self.mark = ConnectionMark()
        self.era = era

    def __repr__(self) -> str:
        return f"<ConnectionState {self.mark!r}>"

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()

    def __del__(self) -> None:
        if _collected is not None:  # as all globals may be while the interpreter shuts down
            _collected(self)

    @property
    def exchange(self) -> Exchange | None:
        """The exchange that the connection is serving."""
        exchange = self.mark.exchange
        return None if exchange is None or exchange.finished_at is not None else exchange

    def collected(self) -> None:
        """The garbage collector takes the connection."""
        raise NotImplementedError


@guard("connection_state.collected")
def _collected(state: ConnectionState) -> None:
    if state.era.goes_on:
        state.collected()

"""urllib3: calls that begin at a pool, because it was used without a client's."""

from __future__ import annotations

from types import FrameType
from typing import Any

from poolscope.facts import Exchange
from poolscope.libraries import callsite
from poolscope.libraries.urllib3.state import CURRENT
from poolscope.story.call import CURRENT_CALL, Call
from poolscope.story.client import ClientFacts


class PoolCall(Call):
    """A call that began at a pool, with its retries and redirects."""

    __slots__ = ("first", "outer")

    def __init__(self, pool: Any, client: int | None, frame: FrameType, young: ClientFacts | None) -> None:
        super().__init__(id(pool), client, callsite.user(frame), young)
        self.outer = CURRENT_CALL.get()
        self.first: Exchange | None = None


def current_call() -> Call | None:
    """The current call, unless its pool's ``urlopen`` is over: a failed hook may leave such a call behind."""
    call = CURRENT_CALL.get()
    if type(call) is PoolCall and CURRENT.get() is None:
        call = call.outer
        CURRENT_CALL.set(call)
    return call


def call_over(exchange: Exchange) -> None:
    """The exchange that began a call is over, and so is the call."""
    call = CURRENT_CALL.get()
    if type(call) is PoolCall and call.first is exchange:
        CURRENT_CALL.set(call.outer)

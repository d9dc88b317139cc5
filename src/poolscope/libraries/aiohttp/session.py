"""aiohttp: sessions' birth, use and close.

A session's connector is marked as its own; one that several sessions share is nobody's.
"""

from __future__ import annotations

from types import FrameType
from typing import Any, Final

from poolscope.facts import now
from poolscope.libraries import callsite, clients
from poolscope.libraries.aiohttp.state import observe_connector, pool_of
from poolscope.libraries.clients import mark_of
from poolscope.libraries.marks import set_mark
from poolscope.libraries.point import Point
from poolscope.story import client as story
from poolscope.story.call import CURRENT_CALL, Call
from poolscope.story.client import ClientMark
from poolscope.story.sight import SIGHT
from poolscope.story.suppression import suppressed

KIND: Final = "aiohttp.ClientSession"


def building() -> float | None:
    """A session is about to be built."""
    return now() if SIGHT.everybody else None


def built(session: Any, token: float, frame: FrameType) -> None:
    """It has been built, perhaps by ``aiohttp.request`` for one call only."""
    if story.built_within(mark_of(session), token):
        return
    site = callsite.of_construction(frame, session)
    one_off = frame.f_code.co_name == "request" and frame.f_globals.get("__name__") == "aiohttp.client"
    mark = clients.built(session, "aiohttp.request" if one_off else KIND, token, site)
    _leave(session, mark)


def _leave(session: Any, mark: ClientMark) -> None:
    set_mark(session, mark)
    connector = session._connector
    pool = None if connector is None else pool_of(connector)
    if pool is not None:
        pool.belongs_to(mark.facts)


def calls(session: Any, frame: FrameType) -> Call | None:
    """The program makes a call, which may take several exchanges."""
    mark = mark_of(session)
    if mark is None or not mark.facts.era.goes_on:
        mark = _in_sight(session)
    if mark is None:
        outer = CURRENT_CALL.get()
        return None if outer is None else Call(id(session), None, callsite.line_of(frame))
    facts = mark.facts
    if facts.identity.settled or not session._connector_owner:  # what it shares, it does not throw away
        return Call(id(session), facts.current().id, callsite.line_of(frame))
    if suppressed():
        return None
    return Call(id(session), facts.current().id, callsite.line_of(frame), facts)


def _in_sight(session: Any) -> ClientMark | None:
    """The mark on a session that was out of sight; None if it still is."""
    if not SIGHT.everybody or suppressed():
        return None
    mark = mark_of(session)
    if mark is None:
        mark = story.found(session, KIND)
        _leave(session, mark)
    return mark


def closed(session: Any) -> None:
    """The program has closed it."""
    mark = mark_of(session)
    if mark is not None:
        mark.closed()


def observe(session: Any) -> bool:
    """Observe one session by itself, with its connector; False if it is none."""
    if not any(
        cls.__name__ == "ClientSession" and cls.__module__ == "aiohttp.client"
        for cls in type(session).__mro__
    ):
        return False
    if session._connector is not None:
        observe_connector(session._connector)
    mark = mark_of(session)
    if mark is None:
        mark = clients.observed_by_itself(session, KIND)
        _leave(session, mark)
    mark.facts.observed_by_itself()
    return True


_SESSION: Final = "ClientSession"

SESSION: Final = (
    Point(_SESSION, "__init__", before=building, after=built),
    Point(_SESSION, "_request", before=calls, var=CURRENT_CALL, at_call=True),
    Point(_SESSION, "_ws_connect", before=callsite.is_called, var=callsite.LINE, at_call=True),
    Point(_SESSION, "close", always=closed),
)

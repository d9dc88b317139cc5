"""aiohttp: construction, use and close of sessions. A session's connector is marked as its own; a connector shared by
several sessions belongs to none of them.
"""

from __future__ import annotations

from types import FrameType, ModuleType
from typing import Any, Final

from poolscope.libraries import callsite, clients, marks
from poolscope.libraries.aiohttp.connection import SETUP
from poolscope.libraries.aiohttp.exchange import CONNECTORS, EXCHANGE
from poolscope.libraries.point import Point
from poolscope.libraries.weaver import WEAVER
from poolscope.story import client as story
from poolscope.story.call import CURRENT_CALL, Call
from poolscope.story.client import ClientMark
from poolscope.story.pool import PoolMark


def _kind(_session: Any) -> str:
    return "aiohttp.ClientSession"


def built(session: Any, token: float, frame: FrameType) -> None:
    """A session was built, perhaps by ``aiohttp.request`` for only one call."""
    if not story.built_within(clients.mark_of(session), token):
        one_off = frame.f_code.co_name == "request" and frame.f_globals.get("__name__") == "aiohttp.client"
        kind = "aiohttp.request" if one_off else _kind(session)
        _leave(session, clients.built(session, kind, token, callsite.of_construction(frame, session)))


def _leave(session: Any, mark: ClientMark) -> None:
    marks.set_mark(session, mark)
    pool = marks.in_sight(session._connector, PoolMark)
    if pool is not None:
        pool.belongs_to(mark.facts)
        WEAVER.weave_on_sight(type(session._connector), CONNECTORS)


def calls(session: Any, frame: FrameType) -> Call | None:
    """The program makes a call, which may take several exchanges."""
    outer, mark = CURRENT_CALL.get(), clients.in_sight(session, _kind, _leave)
    # A session does not throw away a shared connector, so such sessions need no settings.
    call = clients.sends(session, mark, outer, frame, session._connector_owner)
    return None if call is outer else call


def observe(session: Any, pool_name: str | None = None) -> bool:
    """Observe one session, with its connector; False if ``session`` is not a session."""
    is_one = any(cls.__module__ == "aiohttp.client" for cls in type(session).__mro__)
    if is_one:
        marks.observe_pool(session._connector, PoolMark, pool_name)
        clients.observe(session, _kind(session), _leave)
    return is_one


SESSION: Final = (
    Point("ClientSession", "__init__", before=clients.building, after=built),
    Point("ClientSession", "_request", before=calls, var=CURRENT_CALL, at_call=True),
    Point("ClientSession", "_ws_connect", before=clients.is_called, var=CURRENT_CALL, at_call=True),
    Point("ClientSession", "close", always=clients.closed),
)


def points(_module: ModuleType) -> tuple[Point, ...]:
    """The hook points of aiohttp."""
    return *SESSION, *EXCHANGE, *SETUP

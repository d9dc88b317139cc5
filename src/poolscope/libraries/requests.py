"""requests: construction, use and close of sessions. Everything below is urllib3's."""

from __future__ import annotations

import sys
from types import FrameType, ModuleType
from typing import Any, Final

from poolscope.libraries import callsite, clients, urllib3_future
from poolscope.libraries.clients import mark_of
from poolscope.libraries.marks import set_mark
from poolscope.libraries.point import Point
from poolscope.libraries.urllib3 import manager
from poolscope.story.call import CURRENT_CALL, Call
from poolscope.story.client import built_within, found
from poolscope.story.sight import SIGHT
from poolscope.story.suppression import suppressed

_KIND: Final = "requests.Session"
_OF_EVERY_ADAPTER: Final = frozenset(
    (
        "max_retries",
        "config",
        "proxy_manager",
        "pool_name",
        "poolmanager",
        "_pool_connections",
        "_pool_maxsize",
        "_pool_block",
    )
)
_BETWEEN_CALLS: Final = frozenset(("requests.sessions", "requests.hooks"))
"""Code by which a nested ``send`` is recognised: called to follow a redirect, or by the program."""


def built(session: Any, token: float, frame: FrameType) -> None:
    """A session was built, perhaps for one call only."""
    if built_within(mark_of(session), token):
        return
    site = callsite.of_construction(frame, session)
    entry = site.entry
    api = sys.modules["requests.api"].request.__code__.co_filename
    one_off = entry is not None and entry.co_filename == api
    kind = f"requests.{entry.co_name}" if one_off and entry is not None else _KIND
    set_mark(session, clients.built(session, kind, token, site))


def call_begins(session: Any, request: Any, kwargs: Any, frame: FrameType) -> Call | None:
    """One call, whatever the number of redirects."""
    outer = CURRENT_CALL.get()
    if outer is not None and outer.owner == id(session) and _follows_redirect(frame):
        return None
    mark = mark_of(session)
    if mark is None or not mark.facts.era.goes_on:
        if not SIGHT.everybody:
            return None
        if mark is None and not suppressed():
            mark = found(session, _KIND)
            set_mark(session, mark)
    if mark is None:
        return None
    call = clients.call_on(session, mark, callsite.user(frame))
    if call is not None and call.young is not None and not call.young.identity.calls:
        call.young.identity.is_set_up("session", *_settings(session, request, kwargs or {}))
    return call


def _follows_redirect(frame: FrameType | None) -> bool:
    """Whether ``resolve_redirects`` called ``send``, through whatever a subclass or another tool put between.

    A response hook's own requests are new calls.
    """
    while frame is not None and frame.f_globals.get("__name__") not in _BETWEEN_CALLS:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_name == "resolve_redirects"


def _settings(session: Any, request: Any, given: Any) -> list[Any]:
    """Read at the first request: they are set on the session, or given with the call, after it was built."""
    return [
        session.params,
        session.hooks,
        given.get("verify", session.verify),
        given.get("cert", session.cert),
        [_answer(auth) for auth in _auth_hooks(request)],
        _adapter(session, str(getattr(request, "url", ""))),
    ]


def _auth_hooks(request: Any) -> list[Any]:
    """Auth that answers a challenge sits in the response hooks, as a bound method."""
    hooks = (getattr(request, "hooks", None) or {}).get("response", ())
    hooks = (hooks,) if callable(hooks) else hooks
    owners = [getattr(hook, "__self__", None) for hook in hooks]
    return [owner for owner in owners if hasattr(owner, "username")]


def _answer(auth: Any) -> tuple[str, Any, Any]:
    return type(auth).__qualname__, auth.username, getattr(auth, "password", None)


def _adapter(session: Any, url: str) -> Any:
    """The settings of the adapter for ``url``, without its pools', which report their own."""
    url = url.lower()
    for prefix, adapter in session.adapters.items():
        if url.startswith(prefix.lower()):
            own = {
                name: value
                for name, value in vars(adapter).items()
                if name not in _OF_EVERY_ADAPTER and not type(value).__module__.startswith("urllib3")
            }
            return type(adapter).__qualname__, own
    return None


def observe(session: Any, pool_name: str | None = None) -> None:
    """Observe only this session, with all its adapters' pools."""
    mark = clients.observe(session, _KIND, set_mark, pool_name)
    for adapter in session.adapters.values():
        managers = [getattr(adapter, "poolmanager", None), *getattr(adapter, "proxy_manager", {}).values()]
        for pools in managers:
            if hasattr(pools, "connection_from_url"):
                manager.observe(pools, _KIND, mark, pool_name=pool_name)


_SESSION: Final = "sessions.Session"

POINTS: Final = (
    Point(_SESSION, "__init__", before=clients.building, after=built),
    Point(_SESSION, "send", before=call_begins, var=CURRENT_CALL, takes=("request",)),
    Point(_SESSION, "close", after=clients.closed),
)


def points(_module: ModuleType) -> tuple[Point, ...]:
    """The hook points of requests; none if its urllib3 is not observed."""
    return () if urllib3_future.has_replaced_urllib3() else POINTS

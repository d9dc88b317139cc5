"""requests: sessions' birth, use and close. Everything below is urllib3's."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

from poolscope.facts import now
from poolscope.hooks import callsite, clients
from poolscope.hooks.calls import CURRENT_CALL, Call
from poolscope.hooks.clients import ClientMark
from poolscope.hooks.guarding import guard, hide_frame
from poolscope.hooks.patching import Patches
from poolscope.libraries.marks import set_mark
from poolscope.story.suppression import suppressed

_KIND = "requests.Session"
_OF_EVERY_ADAPTER = frozenset(
    (
        "max_retries",
        "config",
        "proxy_manager",
        "poolmanager",
        "_pool_connections",
        "_pool_maxsize",
        "_pool_block",
    )
)
_BETWEEN_CALLS = frozenset(("requests.sessions", "requests.hooks"))
"""Whose code is the first that a nested ``send`` was called by: to follow a redirect, or for the program."""


def install(module: ModuleType, patches: Patches) -> None:
    """Put the hooks into ``Session``; sessions that are alive are observed from their next use on."""
    session = importlib.import_module(f"{module.__name__}.sessions").Session
    api_file = importlib.import_module(f"{module.__name__}.api").request.__code__.co_filename
    patches.put(session, "_poolscope", None)
    patches.put(session, "_poolscope_era", clients.new_era("requests"))
    patches.replace(session, "__init__", lambda original: _wrap_init(original, api_file))
    patches.replace(session, "send", _wrap_send)
    patches.replace(session, "close", _wrap_close)


def trace_session(session: Any) -> ClientMark:
    """The mark of a session that is traced by itself, for all its adapters' pools; its close is seen by theirs."""
    mark = clients.mark_of(session)
    if mark is None:
        mark = clients.traced(session, _KIND)
        set_mark(session, mark)
    # The era is on its class while the hooks are in.
    mark.facts.traced(in_sight=mark.facts.era == getattr(session, "_poolscope_era", None))
    return mark


def _wrap_init(original: Callable[..., Any], api_file: str) -> Callable[..., Any]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807  (it is that method)
        started_at = now()
        try:
            original(self, *args, **kwargs)
        except BaseException as error:
            hide_frame(error)
            raise
        _built(self, started_at, api_file)

    return __init__


@guard("requests.session")
def _built(session: Any, started_at: float, api_file: str) -> None:
    if clients.built_within(clients.mark_of(session), started_at):
        return
    site = clients.construction_site(session)
    entry = site.entry
    one_off = entry is not None and entry.co_filename == api_file
    kind = f"requests.{entry.co_name}" if one_off and entry is not None else _KIND
    # Past any ``__setattr__`` of a subclass, which may take known names only.
    set_mark(session, clients.built(session, kind, session._poolscope_era, started_at, site))


def _wrap_send(original: Callable[..., Any]) -> Callable[..., Any]:
    def send(self: Any, *args: Any, **kwargs: Any) -> Any:
        outer = CURRENT_CALL.get()
        call = _call_begins(self, outer, args, kwargs)
        if call is None:
            try:
                return original(self, *args, **kwargs)
            except BaseException as error:
                hide_frame(error)
                raise
        CURRENT_CALL.set(call)
        try:
            return original(self, *args, **kwargs)
        except BaseException as error:
            hide_frame(error)
            raise
        finally:
            CURRENT_CALL.set(outer)

    return send


@guard("requests.send")
def _call_begins(session: Any, outer: Call | None, args: Any, kwargs: Any) -> Call | None:
    if outer is not None and outer.owner == id(session) and _follows_redirect(sys._getframe(3)):
        return None
    mark = session._poolscope
    era = session._poolscope_era
    if mark is None or mark.owner != id(session) or mark.facts.era != era or not mark.facts.identity.settled:
        if suppressed():
            return None
        mark = _mark_in_use(session, era, args[0] if args else kwargs.get("request"), kwargs)
    facts = mark.facts
    return Call(
        id(session), facts.current(era).id, callsite.user(3), None if facts.identity.settled else facts
    )


def _mark_in_use(session: Any, era: int, request: Any, kwargs: Any) -> clients.ClientMark:
    mark = clients.mark_of(session)
    if mark is None:
        mark = clients.adopted(session, _KIND, era)
        set_mark(session, mark)
    mark.facts.current(era)
    if not mark.facts.identity.calls:
        mark.facts.identity.is_set_up(
            "session",
            session.params,
            session.hooks,
            kwargs.get("verify", session.verify),
            kwargs.get("cert", session.cert),
            [_answer(auth) for auth in _auth_hooks(request)],
            _adapter(session, str(getattr(request, "url", ""))),
        )
    return mark


def _auth_hooks(request: Any) -> list[Any]:
    """Auth that answers a challenge sits in the response hooks, as a bound method."""
    hooks = (getattr(request, "hooks", None) or {}).get("response", ())
    hooks = (hooks,) if callable(hooks) else hooks
    owners = [getattr(hook, "__self__", None) for hook in hooks]
    return [owner for owner in owners if hasattr(owner, "username")]


def _answer(auth: Any) -> tuple[str, Any, Any]:
    return type(auth).__qualname__, auth.username, getattr(auth, "password", None)


def _follows_redirect(frame: FrameType | None) -> bool:
    """Whether ``resolve_redirects`` called ``send``, through whatever a subclass or another tool put between.

    A response hook's own requests are new calls.
    """
    while frame is not None and frame.f_globals.get("__name__") not in _BETWEEN_CALLS:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_name == "resolve_redirects"


def _adapter(session: Any, url: str) -> Any:
    """What the adapter that serves ``url`` brings along beside its pools, whose settings are theirs to tell."""
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


def _wrap_close(original: Callable[..., Any]) -> Callable[..., Any]:
    def close(self: Any) -> Any:
        try:
            result = original(self)
        except BaseException as error:
            hide_frame(error)
            raise
        _closed(self)
        return result

    return close


@guard("requests.close")
def _closed(session: Any) -> None:
    mark = clients.mark_of(session)
    if mark is not None:
        mark.closed()

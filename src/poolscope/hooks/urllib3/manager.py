"""urllib3: pool managers and pools as clients of their own, and what ends them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from poolscope.facts import now
from poolscope.hooks import callsite, clients
from poolscope.hooks.calls import CURRENT_CALL, Call
from poolscope.hooks.clients import ClientMark
from poolscope.hooks.guarding import guard, hide_frame
from poolscope.hooks.urllib3.state import PoolState
from poolscope.libraries.marks import mark_on, set_mark
from poolscope.story.suppression import suppressed

_REQUESTS = "requests.adapters"
_FRAMES_TO_SEARCH = 12


def wrap_manager_init(original: Callable[..., Any]) -> Callable[..., Any]:
    """A manager is a client, unless an adapter of ``requests`` builds it: then the session is."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807  (it is that method)
        started_at = now()
        try:
            original(self, *args, **kwargs)
        except BaseException as error:
            hide_frame(error)
            raise
        _manager_built(self, started_at)

    return __init__


@guard("urllib3.manager")
def _manager_built(manager: Any, started_at: float) -> None:
    if not _below_requests(sys._getframe(3)) and not clients.built_within(
        clients.mark_of(manager), started_at
    ):
        kind = _kind(manager, "PoolManager")
        site = clients.construction_site(manager)
        mark = clients.built(manager, kind, manager._poolscope_era, started_at, site)
        set_mark(manager, mark)


def _below_requests(frame: FrameType | None) -> bool:
    for _ in range(_FRAMES_TO_SEARCH):
        if frame is None:
            return False
        if frame.f_globals.get("__name__") == _REQUESTS:
            return True
        frame = frame.f_back
    return False


def _kind(client: Any, base: str) -> str:
    cls = type(client)
    return f"urllib3.{cls.__name__ if cls.__module__.startswith('urllib3.') else base}"


def wrap_new_pool(original: Callable[..., Any]) -> Callable[..., Any]:
    """Tell a new pool whose it is, and the oldest one that it will be evicted for it."""

    def _new_pool(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            pool = original(self, *args, **kwargs)
        except BaseException as error:
            hide_frame(error)
            raise
        _pool_made(self, pool)
        return pool

    return _new_pool


@guard("urllib3.new_pool")
def _pool_made(manager: Any, pool: Any) -> None:
    if not hasattr(pool, "_poolscope_era"):  # of a class that is not urllib3's
        return
    own(manager, pool)
    # The manager's lock is held and the key is new: what follows is the insertion. Watching
    # ``dispose_func`` instead would leave a function of ours on every manager.
    pools = manager.pools
    if isinstance(pools._maxsize, int) and len(pools._container) >= pools._maxsize:
        _end_pool(next(iter(pools._container.values()), pool), "manager_eviction")


def own(manager: Any, pool: Any) -> None:
    """Write down whose pool it is, unless that is known."""
    state: PoolState | None = mark_on(pool)
    if state is None or state.era != pool._poolscope_era:
        mark = clients.mark_of(manager)
        instead: ClientMark | None = manager._poolscope_stand_in
        state = PoolState(
            pool._poolscope_era,
            None if mark is None else mark.facts,
            None if instead is None else instead.facts,
        )
        set_mark(pool, state)


def _end_pool(pool: Any, trigger: str) -> None:
    state: PoolState | None = getattr(pool, "_poolscope", None)
    if state is not None and state.ending is None:
        state.ending = trigger


def wrap_clear(original: Callable[..., Any]) -> Callable[..., Any]:
    """Closing a manager only drops its pools; they close their connections when nobody needs them."""

    def clear(self: Any) -> Any:
        _cleared(self)
        try:
            return original(self)
        except BaseException as error:
            hide_frame(error)
            raise

    return clear


@guard("urllib3.clear")
def _cleared(manager: Any) -> None:
    with manager.pools.lock:
        pools = list(manager.pools._container.values())
    for pool in pools:
        _end_pool(pool, "client")
    for mark in (clients.mark_of(manager), manager._poolscope_stand_in):
        if mark is not None:
            mark.closed()


def wrap_manager_urlopen(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make a call of it, whatever the number of redirects."""

    def urlopen(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = _call_begins(self)
        if call is None:
            try:
                return original(self, *args, **kwargs)
            except BaseException as error:
                hide_frame(error)
                raise
        outer = CURRENT_CALL.get()
        CURRENT_CALL.set(call)
        try:
            return original(self, *args, **kwargs)
        except BaseException as error:
            hide_frame(error)
            raise
        finally:
            CURRENT_CALL.set(outer)

    return urlopen


@guard("urllib3.manager_urlopen")
def _call_begins(manager: Any) -> Call | None:
    outer = CURRENT_CALL.get()
    if outer is not None and outer.owner == id(manager) and _follows_redirect(sys._getframe(3)):
        return None
    if suppressed():
        return None
    mark: ClientMark | None = clients.mark_of(manager) or manager._poolscope_stand_in
    if mark is None:
        kind = _kind(manager, "PoolManager")
        mark = clients.adopted(manager, kind, manager._poolscope_era)
        set_mark(manager, mark)
    facts = mark.facts
    client = facts.current(manager._poolscope_era)
    return Call(id(manager), client.id, callsite.user(3), None if facts.identity.settled else facts)


def _follows_redirect(frame: FrameType | None) -> bool:
    """Whether the manager's ``urlopen`` called itself, through whatever a subclass or another tool put between."""
    while frame is not None and not frame.f_globals.get("__name__", "").startswith("urllib3."):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_name == "urlopen"


def wrap_pool_init(original: Callable[..., Any]) -> Callable[..., Any]:
    """A pool is a client when the program builds it itself."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807  (it is that method)
        started_at = now()
        try:
            original(self, *args, **kwargs)
        except BaseException as error:
            hide_frame(error)
            raise
        _pool_built(self, started_at)

    return __init__


@guard("urllib3.pool")
def _pool_built(pool: Any, started_at: float) -> None:
    frame: FrameType | None = sys._getframe(3)
    while frame is not None and frame.f_code.co_name == "__init__":
        frame = frame.f_back
    managed = frame is not None and frame.f_code.co_name == "_new_pool"
    if managed or CURRENT_CALL.get() is not None or _below_requests(frame):
        return
    if clients.built_within(pool._poolscope_client, started_at):
        return
    era = pool._poolscope_era
    site = clients.construction_site(pool)
    mark = clients.built(pool, _kind(pool, "HTTPConnectionPool"), era, started_at, site)
    set_mark(pool, PoolState(era, mark.facts))
    set_mark(pool, mark, "_poolscope_client")


def wrap_pool_close(original: Callable[..., Any]) -> Callable[..., Any]:
    """The program, or urllib3 up to 1.26.15 for its manager, closes a pool."""

    def close(self: Any) -> Any:
        _pool_closed(self)
        try:
            return original(self)
        except BaseException as error:
            hide_frame(error)
            raise

    return close


@guard("urllib3.pool_close")
def _pool_closed(pool: Any) -> None:
    _end_pool(pool, "client")
    if pool._poolscope_client is not None:
        pool._poolscope_client.closed()

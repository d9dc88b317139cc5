"""urllib3: pool managers and pools as clients of their own, and what ends them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any, Final

from poolscope.facts import CloseTrigger, now
from poolscope.libraries import callsite, clients, tls
from poolscope.libraries.clients import mark_of
from poolscope.libraries.marks import mark_on, set_mark
from poolscope.libraries.point import Point
from poolscope.libraries.urllib3.calls import current_call
from poolscope.libraries.urllib3.state import PoolMark, State
from poolscope.story.call import CURRENT_CALL, Call
from poolscope.story.client import ClientMark, built_within, found
from poolscope.story.sight import SIGHT
from poolscope.story.suppression import suppressed

_REQUESTS: Final = "requests.adapters"
_FRAMES_TO_SEARCH: Final = 12
_STAND_IN: Final = "_poolscope_stand_in"
"""On a manager: the client of its requests, unless a call says otherwise."""
_CLIENT: Final = "_poolscope_client"
"""On a pool that the program built itself: the mark of that client."""


_WANTED: Final[ContextVar[tuple[str, str | None] | None]] = ContextVar(
    "poolscope_manager_wanted", default=None
)
"""The client kind and the pool name of managers that are built here to be observed by themselves."""


@contextmanager
def observed_as(kind: str, pool_name: str | None = None) -> Iterator[None]:
    """Let managers that are built in this block be observed by themselves, as clients of this ``kind``."""
    token = _WANTED.set((kind, pool_name))
    try:
        yield
    finally:
        _WANTED.reset(token)


def construction_begins() -> float | None:
    """When it began, if it is observed."""
    return now() if SIGHT.everybody or _WANTED.get() is not None else None


def manager_built(manager: Any, token: float, frame: FrameType) -> None:
    """A manager is a client, unless an adapter of ``requests`` builds it: then the session is."""
    wanted = _WANTED.get()
    if wanted is not None:
        observe(manager, wanted[0], built_in=frame, pool_name=wanted[1])
    elif not _below_requests(frame) and not built_within(mark_of(manager), token):
        site = callsite.of_construction(frame, manager)
        mark = clients.built(manager, _kind(manager, "PoolManager"), token, site)
        set_mark(manager, mark)
        context = getattr(manager, "connection_pool_kw", {}).get("ssl_context")
        if context is not None:
            mark.facts.sheet.ca_time = tls.take_cost(context)


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


def pool_made(manager: Any, result: Any) -> None:
    """Mark a new pool with its client, and note that it evicts the oldest pool."""
    if not hasattr(result, "ConnectionCls"):  # of a class that is not urllib3's
        return
    _own(manager, result)
    # The manager's lock is taken and the key is new: what follows is the insertion. Watching
    # ``dispose_func`` instead would leave a function of poolscope on every manager.
    pools = manager.pools
    if isinstance(pools._maxsize, int) and len(pools._container) >= pools._maxsize:
        _end_pool(next(iter(pools._container.values()), result), "manager_eviction")


def _own(manager: Any, pool: Any) -> None:
    """Note the pool's client, unless it is known."""
    mark: PoolMark | None = mark_on(pool)
    if mark is not None and mark.era.goes_on:
        return
    client, instead = mark_of(manager), mark_on(manager, _STAND_IN)
    if SIGHT.everybody or instead is not None:
        era = SIGHT.era if instead is None else SIGHT.own
        facts = None if client is None else client.facts
        set_mark(pool, PoolMark(era, facts, None if instead is None else instead.facts))


def _end_pool(pool: Any, trigger: CloseTrigger) -> None:
    mark: PoolMark | None = mark_on(pool)
    if mark is not None and mark.ending is None:
        mark.ending = trigger


def cleared(manager: Any) -> None:
    """Closing a manager only drops its pools; the pools close their connections when they are no longer needed."""
    for pool in _pools_of(manager):
        _end_pool(pool, "client")
    for mark in (mark_of(manager), mark_on(manager, _STAND_IN)):
        if mark is not None:
            mark.closed()


def _pools_of(manager: Any) -> list[Any]:
    with manager.pools.lock:
        return list(manager.pools._container.values())


def call_begins(manager: Any, frame: FrameType) -> Call | None:
    """One call, whatever the number of redirects."""
    outer = CURRENT_CALL.get()
    if outer is not None and outer.owner == id(manager) and _follows_redirect(frame):
        return None
    mark: ClientMark | None = mark_of(manager) or mark_on(manager, _STAND_IN)
    if mark is None or not (mark.facts.era.goes_on and mark.facts.stated):
        if suppressed() or not (SIGHT.everybody or (mark is not None and mark.facts.era.goes_on)):
            return None
        if mark is None:
            mark = found(manager, _kind(manager, "PoolManager"))
            set_mark(manager, mark)
    facts = mark.facts
    young = None if facts.identity.settled else facts
    return Call(id(manager), facts.current().id, callsite.user(frame), young)


def _follows_redirect(frame: FrameType | None) -> bool:
    """Whether the manager's ``urlopen`` called itself, through whatever a subclass or another tool put between."""
    while frame is not None and not frame.f_globals.get("__name__", "").startswith("urllib3."):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_name == "urlopen"


def pool_built(pool: Any, token: float, frame: FrameType | None) -> None:
    """A pool is a client when the program builds it itself."""
    outer = frame
    while outer is not None and outer.f_code.co_name == "__init__":
        outer = outer.f_back
    managed = outer is not None and outer.f_code.co_name == "_new_pool"
    if managed or not SIGHT.everybody or current_call() is not None or _below_requests(outer):
        return
    if not built_within(mark_on(pool, _CLIENT), token):
        site = callsite.of_construction(frame, pool)
        mark = clients.built(pool, _kind(pool, "HTTPConnectionPool"), token, site)
        set_mark(pool, PoolMark(SIGHT.era, mark.facts))
        set_mark(pool, mark, _CLIENT)


def pool_closed(pool: Any) -> None:
    """The program, or urllib3 up to 1.26.15 for its manager, closes a pool."""
    _end_pool(pool, "client")
    mark: ClientMark | None = mark_on(pool, _CLIENT)
    if mark is not None:
        mark.closed()


def observe(
    manager: Any,
    kind: str,
    mark: ClientMark | None = None,
    built_in: FrameType | None = None,
    pool_name: str | None = None,
) -> None:
    """Mark a manager to be observed by itself, and call its pools ``pool_name``; twice is once.

    Its requests belong to the client of the surrounding call, if that is observed; else to that of ``mark``; else
    to a client of this ``kind``, with an unknown past unless ``built_in`` is the frame that is just building it.
    """
    if mark_on(manager, _STAND_IN) is not None:
        return
    if mark is None:
        mark = clients.observed_by_itself(manager, kind, built_in)
    mark.facts.pool_name = pool_name or mark.facts.pool_name
    set_mark(manager, mark, _STAND_IN)
    own = mark_of(manager)
    if own is not None:
        own.facts.observed_by_itself()
    for pool in _pools_of(manager):
        known: PoolMark | None = mark_on(pool)
        if known is not None and known.era.goes_on:
            known.is_called(pool_name)
            known.era = SIGHT.own  # it goes on without a gap, and so do its connections
            for connection in list(getattr(pool.pool, "queue", ())):
                state: State | None = mark_on(connection)
                if state is not None and state.era.goes_on:
                    state.era = SIGHT.own
        _own(manager, pool)


_MANAGER: Final = "poolmanager.PoolManager"
_POOL: Final = "connectionpool.HTTPConnectionPool"

MANAGER: Final = (
    Point(_MANAGER, "__init__", before=construction_begins, after=manager_built),
    Point(_MANAGER, "_new_pool", after=pool_made),
    Point(_MANAGER, "clear", before=cleared),
    Point(_MANAGER, "urlopen", before=call_begins, var=CURRENT_CALL),
    Point(_POOL, "__init__", before=construction_begins, after=pool_built),
    Point(_POOL, "close", before=pool_closed),
)

"""httpx and httpx2: construction, use and close of clients. Everything below is httpcore's.

The pools inside a client are marked as its own when it is built; a pool shared by several clients belongs to none of
them.
"""

from __future__ import annotations

import gc
import sys
from types import FrameType, ModuleType
from typing import Any, Final

from poolscope.identity.values import serial_of
from poolscope.libraries import callsite, clients, tls
from poolscope.libraries.marks import set_mark
from poolscope.libraries.point import Point
from poolscope.story import client as story
from poolscope.story.call import CURRENT_CALL, Call
from poolscope.story.client import ClientFacts, ClientMark

_TRANSPORTS_SEARCHED: Final = 32
_COROUTINES: Final = ("request", "get", "options", "head", "post", "put", "patch", "delete")


def _class_of(client: Any) -> type | None:
    """The client class of httpx's or httpx2's that ``client`` is of."""
    for cls in type(client).__mro__:
        if cls.__name__ in ("Client", "AsyncClient") and cls.__module__ in ("httpx", "httpx2"):
            return cls
    return None


def _kind(client: Any) -> str:
    cls = _class_of(client)
    return "httpx.Client" if cls is None else f"{cls.__module__}.{cls.__name__}"


# Birth


def built(
    client: Any,
    token: float,
    frame: FrameType,
    transport: Any,
    mounts: Any,
    verify: Any,
    cert: Any,
    trust_env: Any,
) -> None:
    """A client has been built."""
    if story.built_within(clients.mark_of(client), token):
        return
    site = callsite.of_construction(frame, client)
    mark = clients.built(client, _maker(client, frame, site), token, site)
    within = tls.loaded_since(token)
    mark.facts.sheet.ca_time = within or (0.0 if isinstance(verify, bool | str) else tls.take_cost(verify))
    set_mark(client, mark)
    pools = _claim_pools(client, mark)
    if isinstance(verify, bool | str) and transport is None and not mounts:
        # Contexts that it makes itself need not be compared: the options determine them.
        identity = mark.facts.identity
        identity.is_set_up("tls", verify, cert, trust_env)
        for pool in pools:
            identity.knows("tls", pool)


def _maker(client: Any, frame: FrameType, site: callsite.Site) -> str:
    """What the program called: a class, or a function that builds a client for one call."""
    kind = _kind(client)
    library = kind.partition(".")[0]
    api = sys.modules.get(f"{library}._api")
    if api is None or frame.f_code.co_filename != api.request.__code__.co_filename:
        return kind
    # httpx.stream() is entered through contextlib, which then is the outermost frame of the libraries.
    inside = site.entry is not None and site.entry.co_filename == frame.f_code.co_filename
    entry = site.entry if inside and site.entry is not None else frame.f_code
    return f"{library}.{entry.co_name}"


def _pools_of(client: Any) -> list[Any]:
    """The httpcore pools below a client's transports: mounted ones, and those that other transports wrap."""
    waiting = [getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()]
    pools: list[Any] = []
    seen: set[int] = set()
    while waiting and len(seen) < _TRANSPORTS_SEARCHED:
        transport = waiting.pop(0)
        if transport is None or id(transport) in seen:
            continue
        seen.add(id(transport))
        for one in _inside(transport):
            if hasattr(type(one), "create_connection"):
                pools.append(one)
            else:
                waiting.append(one)
    return pools


def _inside(transport: Any) -> list[Any]:
    """The transports that ``transport`` wraps."""
    pool = getattr(transport, "_pool", None)
    if pool is not None and _handles_requests(type(pool)):
        return [pool]
    # Not by its `__dict__`: reading that slows down every later access to its attributes.
    wrapped: list[Any] = []
    for one in gc.get_referents(transport):
        wrapped += one.values() if type(one) is dict else [one]
    return [one for one in wrapped if not isinstance(one, type) and _handles_requests(type(one))]


def _handles_requests(cls: type) -> bool:
    return hasattr(cls, "handle_request") or hasattr(cls, "handle_async_request")


def _claim_pools(client: Any, mark: ClientMark) -> list[Any]:
    pools = _pools_of(client)
    if pools:
        from poolscope.libraries import httpcore  # there already: the pools are httpcore's

        for pool in pools:
            httpcore.mark_of(pool).belongs_to(mark.facts)
    return pools


def _leave(client: Any, mark: ClientMark) -> None:
    set_mark(client, mark)
    _claim_pools(client, mark)


def observe_client(client: Any, pool_name: str | None = None) -> bool:
    """Observe only this client and its pools; False if it is not a client of httpx or httpx2."""
    if _class_of(client) is None:
        return False
    from poolscope.libraries import httpcore

    clients.observe(client, _kind(client), _leave)
    for pool in _pools_of(client):
        httpcore.observe_pool(pool, pool_name)
    return True


# Use


def calls(client: Any, auth: Any, frame: FrameType) -> Call | None:
    """The program makes a call, which may take several exchanges."""
    outer = CURRENT_CALL.get()
    call = clients.sends(client, clients.in_sight(client, _kind, _leave), outer, frame)
    if call is not None and call.young is not None and not call.young.identity.calls:
        _note_settings(client, call.young, auth)
    return None if call is outer else call


def _note_settings(client: Any, facts: ClientFacts, auth: Any) -> None:
    """They may be set after the client was built, or come with the call; what it sends is seen on the wire."""
    if type(auth).__name__ == "UseClientDefault":
        auth = client.auth
    if type(auth).__module__.endswith("._auth"):  # httpx's own: its effect is visible in the request
        auth = getattr(auth, "_func", None)
    facts.identity.is_set_up(
        "client", str(client.base_url), str(client.params), client.event_hooks, auth and serial_of(auth)
    )


def _of_class(name: str, *closes: str) -> tuple[Point, ...]:
    return (
        Point(name, "__init__", before=clients.building, after=built),
        Point(
            name, "send", before=calls, var=CURRENT_CALL, takes=("request",), at_call=name == "AsyncClient"
        ),
        *(Point(name, close, always=clients.closed) for close in closes),
    )


POINTS: Final = (
    *_of_class("Client", "close", "__exit__"),
    *_of_class("AsyncClient", "aclose", "__aexit__"),
    *(
        Point("AsyncClient", name, before=clients.is_called, var=CURRENT_CALL, at_call=True)
        for name in _COROUTINES
    ),
)


def points(_: ModuleType) -> tuple[Point, ...]:
    """The hook points of httpx and httpx2."""
    return POINTS

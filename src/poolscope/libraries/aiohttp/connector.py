"""aiohttp: what happens in a connector: a request asks, may wait, gets a connection or fails, and gives it back."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from poolscope.facts import Exchange, now
from poolscope.libraries import callsite
from poolscope.libraries.aiohttp import state
from poolscope.libraries.aiohttp.setup import ASKING, CREATE, found_open
from poolscope.libraries.aiohttp.state import held_by
from poolscope.libraries.guarding import guard
from poolscope.libraries.point import Point
from poolscope.queue import FACTS
from poolscope.story import exchange as story
from poolscope.story.call import CURRENT_CALL
from poolscope.story.client import ClientFacts
from poolscope.story.runtime import current_task_and_loop
from poolscope.story.suppression import suppressed


def asks(connector: Any, req: Any, frames: Callable[[int], FrameType]) -> Exchange | None:
    """A request asks its connector for a connection."""
    pool = state.pool_of(connector)
    if pool is None:
        return None
    origin, target = state.origin_of(req.url), req.url.raw_path_qs
    if suppressed():
        exchange = story.follow_silently(origin, req.method, target)
        exchange._pool = pool
        return exchange
    call = CURRENT_CALL.get()
    owner = None if pool.client is None else pool.client.sheet.id
    client = owner if call is None else call.client
    sheet = pool.sheet
    if sheet is None or sheet.epoch != FACTS.epoch:
        sheet = state.sheet_of(pool, connector, owner if pool.client is not None or pool.shared else client)
    exchange = story.asks(origin, req.method, target, call=call, client=client, pool=sheet.id, task=None)
    exchange.task, exchange.loop = current_task_and_loop()
    exchange._pool = pool
    exchange.queued = _has_to_wait(connector, req)
    if call is None:
        exchange.call_site = callsite.user(frames(2), or_sdk=True)
    elif call.young is not None:
        _identify(call.young, connector, req)
    for name, value in story.announce(exchange, req):
        req.headers[name] = value
    return exchange


def _has_to_wait(connector: Any, req: Any) -> bool:
    """Whether it waits for its turn; from 3.11 on that is a method of its own, which tells."""
    if hasattr(connector, "_wait_for_available_connection"):
        return False
    key = req.connection_key
    return connector._available_connections(key) <= 0 or key in connector._waiters


@guard("aiohttp.identity")
def _identify(client: ClientFacts, connector: Any, req: Any) -> None:
    client.identity.is_set_up("connector", *state.settings_of(connector, req))
    body = getattr(req.body, "_value", req.body)
    client.sheet.settings = client.identity.sends(req.headers.items(), req.url.raw_path_qs, body)


def waits() -> None:
    """There is no connection for it now."""
    exchange = ASKING.get()
    if exchange is not None:
        exchange.queued = True


def got(connector: Any, token: Exchange, result: Any, req: Any) -> None:
    """It has its connection, and nothing comes between that and its head on the wire."""
    protocol = result.protocol
    held = held_by(protocol) or found_open(connector, protocol, token)
    if token._mark is not held.mark:
        story.assigned(token, held.mark)
    held.mark.taken(token)
    held.payload, held.writing, held.timer = None, False, req._timer


def failed(token: Exchange, error: BaseException, req: Any) -> None:
    """There is no connection for it."""
    error = state.timed(req._timer, error)
    mark = token._mark
    if mark is None:
        story.waited(token, now())
    elif mark.setup is not None:
        mark.setup_failed(state.name_on_the_wire(error))
    story.failed(token, error, state.class_name(error))


def releasing(_connector: Any, protocol: Any, frame: FrameType) -> None:
    """A connection is given back, its answer read or not: all is written before it passes on."""
    held = held_by(protocol)
    exchange = None if held is None else held.exchange
    if held is None or exchange is None or exchange.headers_at is None:
        return  # what fails before the headers is told by what raises
    complete, payload = held.was_read(), held.payload
    held.payload = held.timer = None
    if complete is not False:
        story.ended(exchange, complete)
    elif state.is_collected(frame):
        story.dropped(exchange, complete)
    else:
        error = state.raised_in(payload)
        if error is not None:
            state.note_error(held.mark.sheet, error)
        story.ended(exchange, complete, None if error is None else state.class_name(error))


_BASE: Final = "connector.BaseConnector"
_CONNECT: Final = Point(_BASE, "connect", before=asks, after=got, failed=failed, var=ASKING, takes=("req",))

CONNECTOR: Final = (
    _CONNECT,
    Point(_BASE, "_wait_for_available_connection", before=waits, missing_ok=True),
    Point(_BASE, "_release", before=releasing, takes=("key", "protocol")),
)
state.SEEN.extend(((_CONNECT,), (CREATE,)))

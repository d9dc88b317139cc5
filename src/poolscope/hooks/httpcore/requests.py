"""The moments of a request on an httpcore pool up to its answer: asked, assigned, lost, failed."""

from __future__ import annotations

import copy
import threading
from typing import Any

from poolscope.facts import BEGUN, Exchange, now
from poolscope.hooks import callsite
from poolscope.hooks.calls import CURRENT_CALL
from poolscope.hooks.clients import ClientFacts
from poolscope.hooks.guarding import guard
from poolscope.hooks.httpcore import peek
from poolscope.hooks.httpcore.exchange import class_name, discount, finish, release
from poolscope.hooks.httpcore.queueing import settle_wait
from poolscope.hooks.httpcore.setup import setup_failed
from poolscope.hooks.httpcore.state import CURRENT, Flight, PoolState, Wire
from poolscope.hooks.live import LIVE
from poolscope.queue import FACTS
from poolscope.story.runtime import current_task
from poolscope.story.suppression import suppressed


def begin(pool: Any, state: PoolState, request: Any, in_task: bool) -> Flight:
    """A request asks its pool for a connection."""
    FACTS.relieve()
    url = request.url
    sheet = Exchange(peek.origin_of(url), FACTS.epoch, now(), request.method, url.target)
    sheet.thread = threading.get_ident()
    if in_task:
        sheet.task = current_task()
    flight = Flight(sheet, request, state, suppressed())
    if flight.silent:
        return flight
    call = CURRENT_CALL.get()
    if call is not None:
        call.follow(sheet)
        if call.young is not None:
            _identify(call.young, pool, request)
    else:
        sheet.call_site = callsite.user(4, or_sdk=True)
        sheet.client = state.client_id
    sheet.pool = state.current(pool, sheet.client).id
    if LIVE.door is not None:
        _tell_start(flight)
    FACTS.put(BEGUN, sheet)
    return flight


@guard("httpcore.identity")
def _identify(client: ClientFacts, pool: Any, request: Any) -> None:
    identity = client.identity
    if not identity.knows("pool", pool):
        identity.is_set_up("pool", *peek.settings_of(pool, with_tls=not identity.knows("tls", pool)))
    body = getattr(request.stream, "_stream", None)
    client.sheet.settings = identity.sends(request.headers, request.url.target, body)


@guard("httpcore.live_start")
def _tell_start(flight: Flight) -> None:
    door = LIVE.door
    headers = None if door is None else door.request_started(flight.sheet, flight.request)
    added = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers or ()]
    if added:
        names = {name.lower() for name, _ in added}
        request = copy.copy(flight.request)  # the caller's own object stays as it is
        request.headers = [item for item in request.headers if item[0].lower() not in names] + added
        flight.request = request


@guard("httpcore.assigned")
def assigned(connection: Any) -> Flight | None:
    """The pool hands the current request to ``connection``, which may yet refuse it."""
    wire: Wire | None = connection._poolscope
    flight: Flight | None = CURRENT.get()
    if wire is None:
        return None
    if flight is None:
        wire.numbered = False
        return None
    flight.wire = wire
    flight.holder = connection
    flight.bound = None
    flight.assigned_at = now()
    return flight


@guard("httpcore.lost")
def lost(flight: Flight | None) -> None:
    """The connection was taken by another request, or is gone: back to the pool."""
    if flight is None:
        return
    discount(flight)
    flight.sheet.failed_attempts += 1
    flight.wire = flight.holder = flight.bound = flight.sender = None


@guard("httpcore.departed")
def departed(flight: Flight | None, error: BaseException) -> None:
    """The request failed on the connection, or while setting it up."""
    if flight is not None and flight.wire is not None:
        setup_failed(flight.wire, flight, error)
        release(flight)


@guard("httpcore.failed")
def failed(flight: Flight | None, error: BaseException) -> None:
    """There will be no answer."""
    if flight is None:
        return
    settle_wait(flight, now())
    flight.holder = flight.sender = None
    finish(flight, class_name(error), None)
    if LIVE.door is not None and not flight.silent:
        _tell_failure(flight, error)
    flight.request = flight.request_headers = None


@guard("httpcore.live_failure")
def _tell_failure(flight: Flight, error: BaseException) -> None:
    if LIVE.door is not None:
        LIVE.door.request_failed(flight.sheet, error)

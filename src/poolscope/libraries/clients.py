"""The mark on a client object: made when it is built, found in use, or passed to `trace`."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Any

from poolscope.facts import Client, RawCallSite, now
from poolscope.libraries import callsite
from poolscope.libraries.marks import mark_on
from poolscope.queue import FACTS
from poolscope.story import client as story
from poolscope.story.call import CURRENT_CALL, Call
from poolscope.story.client import ClientFacts, ClientMark
from poolscope.story.runtime import current_loop
from poolscope.story.sight import SIGHT
from poolscope.story.suppression import suppressed


def mark_of(client: Any) -> ClientMark | None:
    """The mark on ``client``, unless it came with a shallow copy of another client."""
    mark: ClientMark | None = mark_on(client)
    return mark if mark is not None and mark.owner == id(client) else None


def building() -> float | None:
    """When the construction of a client began, if all objects are observed."""
    return now() if SIGHT.everybody else None


def built(client: Any, kind: str, started_at: float, site: callsite.Site) -> ClientMark:
    """A mark for a client that was built from ``started_at`` until now."""
    return story.built(
        client, kind, started_at, site.user, site.sdk, loop=current_loop(), stated=not suppressed()
    )


def observed_by_itself(client: Any, kind: str, built_in: FrameType | None = None) -> ClientMark:
    """A mark for a client that the program asked to observe, reported when it is first used.

    ``built_in`` is the frame that is just building it; without it, the client existed before.
    """
    sheet = Client(kind, FACTS.epoch)
    if built_in is not None:
        site = callsite.of_construction(built_in, client)
        sheet.created_at = now()
        sheet.call_site, sheet.sdk_call_site = site.user, site.sdk
        sheet.loop = current_loop()
    return ClientMark(client, ClientFacts(sheet, SIGHT.own, stated=False))


def in_sight(
    client: Any, kind: Callable[[Any], str], leave: Callable[[Any, ClientMark], object]
) -> ClientMark | None:
    """The mark on ``client``; if all objects are observed, ``leave`` puts one on an existing client."""
    mark: ClientMark | None = mark_on(client)
    if mark is not None and mark.owner == id(client) and mark.facts.era.goes_on:
        return mark
    if not SIGHT.everybody or suppressed():
        return None
    mark = mark_of(client)
    if mark is None:
        mark = story.found(client, kind(client))
        leave(client, mark)
    return mark


def observe(
    client: Any, kind: str, leave: Callable[[Any, ClientMark], object], pool_name: str | None = None
) -> ClientMark:
    """Observe only ``client``, and call its pools ``pool_name``; ``leave`` puts a mark on a client without one."""
    mark = mark_of(client)
    if mark is None:
        mark = observed_by_itself(client, kind)
        leave(client, mark)
    mark.facts.observed_by_itself()
    mark.facts.pool_name = pool_name or mark.facts.pool_name
    return mark


def is_called(client: Any, frames: Callable[[int], FrameType]) -> Call | None:
    """A method of an asynchronous client is called; the caller can be seen only now: it may run as a separate task.

    None where another such method calls it.
    """
    if _announces(CURRENT_CALL.get(), client):
        return None
    return Call(id(client), None, callsite.user(frames(2), True), announced=True)


def _announces(call: Call | None, client: Any) -> bool:
    """Whether the program has made ``call`` on ``client``, and it has sent nothing yet."""
    return call is not None and call.announced and call.owner == id(client) and call.newest is None


def sends(
    client: Any, mark: ClientMark | None, outer: Call | None, frame: FrameType, identified: bool = True
) -> Call | None:
    """The call that a client sends for: ``outer``, the current one, if the program announced it, else a new one. Without
    ``mark`` it only hides the call it is made in.
    """
    if outer is not None and _announces(outer, client):
        call = outer
        call.announced = False
    elif mark is None and outer is None:
        return None
    else:
        call = Call(id(client), None, callsite.user(frame, True))
    return call if mark is None else _of_client(call, mark.facts, identified)


def call_on(client: Any, mark: ClientMark, site: RawCallSite | None) -> Call | None:
    """A call on an observed client, which may help to learn the client's settings. None if suppressed."""
    return _of_client(Call(id(client), None, site), mark.facts, True)


def _of_client(call: Call, facts: ClientFacts, identified: bool) -> Call | None:
    if identified and not facts.identity.settled:
        if suppressed():
            return None
        call.young = facts
    call.client = facts.current().id
    return call


def closed(client: Any) -> None:
    """The program closed it."""
    mark = mark_of(client)
    if mark is not None:
        mark.closed()

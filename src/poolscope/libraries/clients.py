"""The mark on a client object: made where it is built, found in use, or asked to be observed by itself."""

from __future__ import annotations

from types import FrameType
from typing import Any

from poolscope.facts import Client, now
from poolscope.libraries import callsite
from poolscope.libraries.marks import mark_on
from poolscope.queue import FACTS
from poolscope.story import client as story
from poolscope.story.client import ClientFacts, ClientMark
from poolscope.story.runtime import current_loop
from poolscope.story.sight import SIGHT
from poolscope.story.suppression import suppressed


def mark_of(client: Any) -> ClientMark | None:
    """The mark on ``client``, unless a shallow copy brought along another's."""
    mark: ClientMark | None = mark_on(client)
    return mark if mark is not None and mark.owner == id(client) else None


def built(client: Any, kind: str, started_at: float, site: callsite.Site) -> ClientMark:
    """A mark for a client whose construction began at ``started_at`` and has just ended."""
    return story.built(
        client, kind, started_at, site.user, site.sdk, loop=current_loop(), stated=not suppressed()
    )


def observed_by_itself(client: Any, kind: str, built_in: FrameType | None = None) -> ClientMark:
    """A mark for a client that somebody asked to observe, stated when it is first used.

    ``built_in`` is the frame that is just building it; without one it was there before us.
    """
    sheet = Client(kind, FACTS.epoch)
    if built_in is not None:
        site = callsite.of_construction(built_in, client)
        sheet.created_at = now()
        sheet.call_site, sheet.sdk_call_site = site.user, site.sdk
        sheet.loop = current_loop()
    return ClientMark(client, ClientFacts(sheet, SIGHT.own, stated=False))

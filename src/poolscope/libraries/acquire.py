"""A request asks a pool for a connection: the part that all libraries have in common."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Any

from poolscope.facts import Exchange, Pool, RawOrigin
from poolscope.libraries import callsite
from poolscope.queue import FACTS
from poolscope.story import exchange as story
from poolscope.story.call import CURRENT_CALL
from poolscope.story.pool import PoolMark
from poolscope.story.runtime import current_task_and_loop
from poolscope.story.suppression import suppressed


def begins(
    pool: PoolMark,
    describe: Callable[[Pool], object],
    origin: RawOrigin,
    method: Any,
    target: Any,
    frames: Callable[[int], FrameType],
    asynchronous: bool,
) -> Exchange:
    """The exchange of a request that asks ``pool``; ``describe`` notes the pool's limits at its first use.

    ``frames`` comes from the hook body that called this.
    """
    if suppressed():
        exchange = story.follow_silently(origin, method, target)
        exchange._pool = pool
        return exchange
    call = CURRENT_CALL.get()
    owner = None if pool.client is None else pool.client.sheet.id
    client = owner if call is None else call.client
    sheet = pool.sheet
    if sheet is None or sheet.epoch != FACTS.epoch:
        sheet = pool.current(None if pool.shared else client if owner is None else owner, describe)
    exchange = story.asks(origin, method, target, call, client, sheet.id)
    if asynchronous:
        exchange.task, exchange.loop = current_task_and_loop()
    exchange._pool = pool
    if call is None:
        exchange.call_site = callsite.user(frames(3), or_sdk=True)
    return exchange

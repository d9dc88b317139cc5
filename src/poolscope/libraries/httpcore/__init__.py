"""httpcore and httpcore2, which share their names: the hook points of pools, connections, streams and answers.

The library is woven at its protocol, at methods that run once for each request and in its own task. Backends, streams
and connections are woven when first seen, because a program may use its own classes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

from poolscope.libraries import resolver
from poolscope.libraries.httpcore import pool, protocol
from poolscope.libraries.httpcore.close import pool_closes
from poolscope.libraries.httpcore.marks import CLOSER
from poolscope.libraries.httpcore.pool import mark_of, observe_pool
from poolscope.libraries.httpcore.setup import CONTEXTS
from poolscope.libraries.point import Point
from poolscope.story.exchange import CURRENT

__all__ = ["is_pool", "mark_of", "observe_pool", "points"]


_POINTS: Final[dict[str, tuple[Point, ...]]] = {}


def points(module: ModuleType) -> tuple[Point, ...]:
    """The hook points of ``module``, httpcore or httpcore2."""
    known = _POINTS.get(module.__name__)
    if known is None:
        of_styles = (*_of_style(module, "", ""), *_of_style(module, "Async", "a"))
        known = _POINTS[module.__name__] = (
            *of_styles,
            *CONTEXTS,
            resolver.SOCKET,
            *resolver.one_after_the_other(),
        )
    return known


def _of_style(module: ModuleType, prefix: str, a: str) -> Iterator[Point]:
    home = f"_{prefix.lower() or 'sync'}.connection_pool"
    pools = importlib.import_module(f"{module.__name__}.{home}")
    # Before httpcore 1.0.3 they had other names.
    waiting, lets_go, body = "RequestStatus", "unset_connection", "ConnectionPoolByteStream"
    if not hasattr(pools, waiting):
        waiting, lets_go, body = f"{prefix}PoolRequest", "clear_connection", "PoolByteStream"
    handle = f"handle_{prefix.lower()}_request".replace("__", "_")
    yield Point(
        f"{prefix}ConnectionPool",
        handle,
        before=pool.asks,
        after=pool.answered,
        failed=pool.failed,
        var=CURRENT,
        takes=("request",),
        rewrites="request",
    )
    yield Point(f"{prefix}ConnectionPool", f"{a}close", before=pool_closes, var=CLOSER)
    yield Point(f"{home}.{waiting}", "wait_for_connection", before=pool.queued, after=pool.assigned)
    yield Point(f"{home}.{waiting}", lets_go, before=pool.lost)
    yield Point(f"{home}.{body}", f"{a}close", before=pool.releasing)
    yield Point(
        f"_synchronization.{prefix}Semaphore", "acquire", before=protocol.asks_for_stream, at_call=True
    )
    for name in (f"{prefix}HTTP11Connection", f"{prefix}HTTP2Connection"):
        absent = "HTTP2" in name and "h2" not in sys.modules
        yield Point(name, "_send_request_headers", before=protocol.gets, failed=protocol.unsent,
                    takes=("request", "stream_id"), missing_ok=absent)  # fmt: skip
        yield Point(name, "_send_request_body", after=protocol.sent, failed=protocol.unsent,
                    takes=("request", "stream_id"), missing_ok=absent)  # fmt: skip


def is_pool(thing: Any) -> bool:
    """Whether ``thing`` is a pool of httpcore's or httpcore2's."""
    return any(
        cls.__module__ in ("httpcore", "httpcore2") and cls.__name__.endswith("ConnectionPool")
        for cls in type(thing).__mro__
    )

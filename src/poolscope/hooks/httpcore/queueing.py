"""Whether a request had to queue for a connection: told apart from what the pool itself takes to hand one out.

Right after the pool has tried to serve its requests, under its own lock, it is seen whether ours got one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from poolscope.hooks.guarding import guard, hide_frame
from poolscope.hooks.httpcore.state import CURRENT, Flight
from poolscope.hooks.patching import Patches

_OWN_WORK: Final = 0.001
"""Seconds that an httpcore in which queueing cannot be seen may take to hand a connection out."""


@guard("httpcore.queued")
def _look(pool: Any) -> None:
    flight: Flight | None = CURRENT.get()
    if flight is None or flight.holder is not None:
        return
    owner: Any = flight.pool_state.pool()
    if owner is not pool:
        return
    for waiting in reversed(owner._requests):  # it was put there a moment ago
        if waiting.request is flight.request:
            flight.queued = bool(flight.queued) or waiting.connection is None
            return


def _assign(original: Callable[..., Any]) -> Callable[..., Any]:
    def _assign_requests_to_connections(self: Any) -> Any:
        try:
            closing = original(self)
        except BaseException as error:
            hide_frame(error)
            raise
        _look(self)
        return closing

    return _assign_requests_to_connections


def _attempt(original: Callable[..., Any]) -> Callable[..., Any]:
    def _attempt_to_acquire_connection(self: Any, status: Any) -> Any:
        try:
            acquired = original(self, status)
        except BaseException as error:
            hide_frame(error)
            raise
        _look(self)
        return acquired

    return _attempt_to_acquire_connection


def _async_attempt(original: Callable[..., Any]) -> Callable[..., Any]:
    async def _attempt_to_acquire_connection(self: Any, status: Any) -> Any:
        try:
            acquired = await original(self, status)
        except BaseException as error:
            hide_frame(error)
            raise
        _look(self)
        return acquired

    return _attempt_to_acquire_connection


METHODS: Final = {
    "_assign_requests_to_connections": _assign,
    "_attempt_to_acquire_connection": _attempt,  # before httpcore 1.0.3
}
ASYNC_METHODS: Final = METHODS | {"_attempt_to_acquire_connection": _async_attempt}


def install(pool: type, methods: dict[str, Callable[..., Any]], patches: Patches) -> None:
    """Hook those of ``methods`` that this httpcore's ``pool`` has; with none of them the newest is what is missing."""
    for name in [name for name in methods if hasattr(pool, name)] or ["_assign_requests_to_connections"]:
        patches.replace(pool, name, methods[name])


def settle_wait(flight: Flight, until: float) -> None:
    """Pool wait ends with the last assignment, or now if there was none; setup comes after it.

    A connection that was lost to another request again is waiting, too.
    """
    sheet = flight.sheet
    if flight.assigned_at is not None:
        until = flight.assigned_at
    took = until - sheet.started_at
    waited = took >= _OWN_WORK if flight.queued is None else flight.queued
    sheet.pool_wait = took if waited or sheet.failed_attempts else 0.0

"""PS108: a request was sent on a kept connection that the server had closed.

It fires for each line and origin where a request on a reused connection, idle for at least `MIN_IDLE`, failed without
an answer within `AT_ONCE`, because the other side had closed.
"""

from __future__ import annotations

import math
from copy import copy
from typing import ClassVar, Final, NamedTuple, TypeAlias

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Key, Place
from poolscope.records import Client, CloseReason, Connection, Exchange, Finding

MIN_IDLE: Final = 0.5
"""Seconds; a server that closes right after an answer has other reasons."""
AT_ONCE: Final = 1.0
"""Seconds within which a request fails on a connection that is gone already."""
IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))

NEWEST: Final = 256
"""Failed requests that their library may still send again."""

_ENDED: Final[frozenset[CloseReason]] = frozenset(("server_closed_no_response", "reset"))
_Runner: TypeAlias = tuple[int, int | None, str | None]


class _Failure(NamedTuple):
    place: Place
    exchange: Exchange


class _Stale:
    __slots__ = ("count", "idle", "methods", "number")

    def __init__(self) -> None:
        self.count = 0
        self.idle = float("inf")
        self.number: int | None = None
        self.methods: tuple[str, ...] = ()

    def add(self, failed: Exchange) -> None:
        """Count one more request."""
        self.count += 1
        self.idle = min(self.idle, failed.idle_time or 0.0)
        self.number = failed.request_number
        if (method := failed.method or "?") not in self.methods:
            self.methods += (method,)


class StaleConnection(Rule):
    """The rule. State: failed requests with a connection that is not closed yet, the newest others, and a few numbers per
    line.
    """

    code: ClassVar[str] = "PS108"
    title: ClassVar[str] = "request failed on a stale connection"
    by_cost: ClassVar[bool] = False
    adds_up: ClassVar[bool] = True
    explanation: ClassVar[str] = (
        "A server closes idle connections after a while. A request that is sent at that very moment, or before the "
        "client has noticed, gets no answer, and the client cannot know whether the server has seen it."
    )

    def __init__(self) -> None:
        self._failed: Bounded[tuple[int, int], Exchange] = Bounded()
        self._stale: Bounded[Place, _Stale] = Bounded()
        self._newest: dict[Key, _Failure] = {}
        self._awaited: Bounded[_Runner, Key] = Bounded(NEWEST)
        """Those that urllib3 sends again by default, until their thread goes on or their client is over."""

    def exchange(self, record: Exchange) -> None:
        """Remember an exchange that failed on a connection that had been idle."""
        self._goes_on(record)
        if (
            record.error is not None
            and record.status is None
            and record.reused is True
            and record.connection is not None
            and record.idle_time is not None
            and record.idle_time >= MIN_IDLE
            and record.started_at is not None
            and record.finished_at is not None
            and record.finished_at - record.started_at <= AT_ONCE
        ):
            self._failed.put((record.pid, record.connection), record)

    def _goes_on(self, record: Exchange) -> None:
        """What its library sends again has not failed for the program; anything else shows that it has."""
        if record.relation == "retry":
            self._newest.pop((record.pid, record.previous or 0), None)
        self._awaited.pop(_runner(record), None)

    def client(self, record: Client) -> None:
        """A client that is over sends nothing again."""
        if record.close_kind is None:
            return
        for runner, key in list(self._awaited.items()):
            failure = self._newest.get(key)
            if failure is None or (key[0], failure.exchange.client) == (record.pid, record.id):
                del self._awaited[runner]

    def connection(self, record: Connection) -> None:
        """See why the connection of a failed request was closed."""
        if record.closed_at is None:
            return
        failed = self._failed.pop((record.pid, record.id), None)
        if failed is None or record.close_reason not in _ENDED:
            return
        place = self.known.place_of(failed)
        key, kind = (failed.pid, failed.id), place.kind or ""
        if failed.method in IDEMPOTENT and kind.startswith("aiohttp."):
            return  # it will be sent again: a live process need not wait to see that
        if failed.method in IDEMPOTENT and kind.startswith("urllib3."):
            self._awaited.put(_runner(failed), key)
        self._newest[key] = _Failure(place, failed)
        if len(self._newest) > NEWEST:
            oldest = self._newest.pop(next(iter(self._newest)))
            self._stale.get_or_put(oldest.place, _Stale).add(oldest.exchange)

    def findings(self) -> list[Finding]:
        """One per process, origin and line."""
        found = {place: copy(stale) for place, stale in self._stale.items()}
        awaited = set(self._awaited.values())
        for key, failure in self._newest.items():
            if key not in awaited:
                found.setdefault(failure.place, _Stale()).add(failure.exchange)
        return [self._finding(place, stale) for place, stale in found.items()]

    def _finding(self, place: Place, stale: _Stale) -> Finding:
        unsafe = [method for method in stale.methods if method not in IDEMPOTENT]
        retry = (
            f"{', '.join(unsafe)} must not simply be sent again: the server may have done it."
            if unsafe
            else "These requests are safe to send again: allow a retry on connection errors."
        )
        what = "request" if stale.count == 1 else "requests"
        idle = math.floor(round(stale.idle * 10, 3)) / 10  # not more, because that would be too long
        return self.finding(
            place,
            stale.count,
            f"{stale.count:,} {what} to {place.origin} failed on a kept connection that had been idle for "
            f"{idle:.1f} s or more and that the server had closed.",
            f"Keep connections for less than {idle:.1f} s (httpx: Limits(keepalive_expiry=…), "
            "aiohttp: TCPConnector(keepalive_timeout=…)), or let the "
            f"server keep them longer. {retry}",
            notes=[f"The last one was request {stale.number} on its connection."] if stale.number else None,
        )


def _runner(record: Exchange) -> _Runner:
    return record.pid, record.thread, record.task

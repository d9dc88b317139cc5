"""Facts become records: what is live, what has ended, and in an order that a reader can follow.

Pure: no I/O, no OpenTelemetry, no clock. The ledger holds live things only; everything that ended is
yielded once and forgotten.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, TypeVar

from poolscope import facts, records
from poolscope.ledger import convert
from poolscope.ledger.snapshot import Snapshot
from poolscope.queue import FACTS

__all__ = ["Ledger", "Snapshot"]

LIVE_LIMIT: Final = 100_000
"""Live things of one kind that are followed; beyond it the oldest is forgotten (its end was lost)."""
CLIENTLESS_POOLS: Final = 1_000
"""Pools built without a client are never closed; so many of the newest are remembered."""

_NOWHERE: Final = (None, None)

_T = TypeVar("_T")


class Ledger:
    """Everything live in this process, and totals of what ended.

    `yield_record` gets each record: clients when built and closed, pools once, connections when opened
    and when closed or failed, exchanges when finished. An exchange comes before the close of its
    connection, whatever the order in which the library let go of them.
    """

    def __init__(
        self, yield_record: Callable[[records.Record], None] | None = None, keep_query: bool = False
    ) -> None:
        self.yield_record = yield_record
        """Who gets the records; while None, none are made."""
        self.needs: Callable[[int, facts.Exchange], bool] | None = None
        """Asked with the pid whether an exchange's record is of use to anybody; while None, all are."""
        self.keep_query = keep_query
        self.reset()

    def reset(self) -> None:
        """Forget everything, as a forked child must."""
        self.pid = os.getpid()
        self.epoch = FACTS.epoch
        self.live_clients: dict[int, facts.Client] = {}
        self.live_pools: dict[int, facts.Pool] = {}
        self.live_connections: dict[int, facts.Connection] = {}
        self.live_exchanges: dict[int, facts.Exchange] = {}
        self.hooks_disabled: list[str] = []
        self.hook_failures = 0
        self.clients = self.connections = self.requests = 0
        """Totals: clients built, connections opened, exchanges finished."""
        self._requests_of: dict[int, int] = {}
        self._pools_of: dict[int, list[int]] = {}
        self._in_flight: dict[Any, int] = {}
        self._in_flight_at: dict[int, tuple[Any, int]] = {}
        self._ended_on: dict[int, int] = {}
        self._closing: dict[int, facts.Connection] = {}

    def __repr__(self) -> str:
        return (
            f"<Ledger {len(self.live_clients)} clients, {len(self.live_connections)} connections and "
            f"{len(self.live_exchanges)} exchanges live; {self.requests} exchanges over>"
        )

    def consume(self, moment: facts.Moment, sheet: facts.Sheet) -> None:
        """Take one fact, in queue order."""
        kind = type(sheet)
        if kind is facts.Exchange:
            if moment == facts.BEGUN:
                self._exchange_begun(sheet)  # type: ignore[arg-type]
            else:
                self._exchange_ended(sheet)  # type: ignore[arg-type]
        elif kind is facts.Connection:
            self._connection(moment, sheet)  # type: ignore[arg-type]
        elif kind is facts.Client:
            self._client(moment, sheet)  # type: ignore[arg-type]
        elif kind is facts.Pool:
            self._pool(sheet)  # type: ignore[arg-type]
        else:
            self._failure(sheet)  # type: ignore[arg-type]

    def _client(self, moment: facts.Moment, sheet: facts.Client) -> None:
        if moment == facts.BEGUN:
            self.clients += 1
            _remember(self.live_clients, sheet.id, sheet)
            self._requests_of[sheet.id] = 0
        else:
            self.live_clients.pop(sheet.id, None)
            for pool in self._pools_of.pop(sheet.id, ()):
                self.live_pools.pop(pool, None)
        if self.yield_record is not None:
            # The sheet may be ahead of the moment: a record of the beginning must not tell the end.
            requests, over = self._requests_of.get(sheet.id, 0), moment == facts.ENDED
            self.yield_record(convert.client(sheet, self.pid, requests, over))
        if moment == facts.ENDED:
            self._requests_of.pop(sheet.id, None)

    def _pool(self, sheet: facts.Pool) -> None:
        limit = LIVE_LIMIT
        if sheet.client in self.live_clients:
            self._pools_of.setdefault(sheet.client, []).append(sheet.id)
        else:
            limit = CLIENTLESS_POOLS
        _remember(self.live_pools, sheet.id, sheet, limit)
        if self.yield_record is not None:
            self.yield_record(convert.pool(sheet, self.pid))

    def _connection(self, moment: facts.Moment, sheet: facts.Connection) -> None:
        if moment == facts.BEGUN:
            _remember(self.live_connections, sheet.id, sheet)
        elif moment == facts.OPENED:
            self.connections += 1
            _remember(self.live_connections, sheet.id, sheet)
            self._tell(sheet, over=False)
        elif self._ended_on.get(sheet.id, 0) < sheet.requests and self._still_serves(sheet):
            self._closing[sheet.id] = sheet
        else:
            self._connection_ended(sheet)

    def _tell(self, sheet: facts.Connection, over: bool) -> None:
        if self.yield_record is not None:
            self.yield_record(convert.connection(sheet, self.pid, self.epoch, over))

    def _still_serves(self, sheet: facts.Connection) -> bool:
        return any(exchange.connection is sheet for exchange in self.live_exchanges.values())

    def _connection_ended(self, sheet: facts.Connection) -> None:
        self.live_connections.pop(sheet.id, None)
        self._ended_on.pop(sheet.id, None)
        self._closing.pop(sheet.id, None)
        self._tell(sheet, over=True)

    def _exchange_begun(self, sheet: facts.Exchange) -> None:
        _remember(self.live_exchanges, sheet.id, sheet)
        client = sheet.client
        site = None
        if client is not None:
            if client in self._requests_of:
                self._requests_of[client] += 1
            user = self.live_clients.get(client)
            if user is not None:
                site = user.call_site or user.sdk_call_site
        key = (sheet.origin, None, None) if site is None else (sheet.origin, id(site[0]), site[1])
        in_flight = self._in_flight[key] = self._in_flight.get(key, 0) + 1
        self._in_flight_at[sheet.id] = (key, in_flight)
        if len(self._in_flight_at) > len(self.live_exchanges):
            self._leave(next(iter(self._in_flight_at)))

    def _exchange_ended(self, sheet: facts.Exchange) -> None:
        if sheet.epoch != FACTS.epoch:
            return  # a forked child reads on what its parent asked for, who tells of it
        self.live_exchanges.pop(sheet.id, None)
        in_flight = self._leave(sheet.id)
        self.requests += 1
        connection = sheet.connection
        if connection is not None:
            if connection.id in self.live_connections:
                self._ended_on[connection.id] = self._ended_on.get(connection.id, 0) + 1
            elif connection.closed_at is None:  # it was open before we began to look
                self._ended_on[connection.id] = self._ended_on.get(connection.id, 0) + 1
                _remember(self.live_connections, connection.id, connection)
                self._tell(connection, over=False)
        if self.yield_record is not None and (self.needs is None or self.needs(self.pid, sheet)):
            self.yield_record(convert.exchange(sheet, self.pid, in_flight, self.keep_query))
        if self._closing and (
            sheet.failed_attempts or (connection is not None and connection.id in self._closing)
        ):
            # One that lost connections on its way keeps none of those waiting.
            for closing in list(self._closing.values()):
                if not self._still_serves(closing):
                    self._connection_ended(closing)

    def _leave(self, exchange: int) -> int | None:
        """How many were in flight when ``exchange`` started; it is not among them any more."""
        key, in_flight = self._in_flight_at.pop(exchange, _NOWHERE)
        if in_flight is not None:
            left = self._in_flight[key] - 1
            if left:
                self._in_flight[key] = left
            else:
                del self._in_flight[key]
        return in_flight

    def _failure(self, sheet: facts.HookFailure) -> None:
        self.hook_failures += 1
        if sheet.disabled and sheet.hook not in self.hooks_disabled:
            self.hooks_disabled.append(sheet.hook)

    def close(self) -> None:
        """Yield what waits for an exchange that never ended, and clients that were never closed."""
        for connection in list(self._closing.values()):
            self._connection_ended(connection)
        if self.yield_record is None:
            return
        for client in list(self.live_clients.values()):
            record = convert.client(client, self.pid, self._requests_of.get(client.id, 0))
            record.close_kind = "open_at_exit"
            self.yield_record(record)

    def requests_of(self, client: int) -> int:
        """How many exchanges a live client has started."""
        return self._requests_of.get(client, 0)

    def snapshot(self) -> Snapshot:
        """What is live right now. Call it with the queue drained and no drain under way."""
        return Snapshot.of(self)


def _remember(live: dict[int, _T], key: int, thing: _T, limit: int = LIVE_LIMIT) -> None:
    live[key] = thing
    if len(live) > limit:
        del live[next(iter(live))]

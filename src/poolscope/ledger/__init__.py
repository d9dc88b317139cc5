"""Turns facts into records of what has ended, in an order that a reader can follow, and into sums.

Pure: no I/O, no OpenTelemetry, no clock. What is live is in `story.live`; everything that ended is yielded
once and forgotten.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from poolscope import facts
from poolscope.ledger.since import Since
from poolscope.queue import FACTS
from poolscope.story.live import LIVE, state_of

if TYPE_CHECKING:
    from poolscope import records
    from poolscope.ledger import convert
    from poolscope.ledger.snapshot import Snapshot

__all__ = ["Ledger"]

LONG_WAIT = 1.0
"""A wait for a connection of at least this many seconds is worth noting the holders."""


class Ledger:
    """Records and sums of what this process did since `reset`.

    `yield_record` gets each record: clients when built and closed, pools once, connections when opened
    and when closed or failed, exchanges when over and, if asked for, while in progress. An exchange comes
    before the close of its connection, whatever order the library released them in.
    """

    def __init__(
        self,
        yield_record: Callable[[records.Record], None] | None = None,
        keep_query: bool = False,
        keep_path: bool = False,
    ) -> None:
        self.yield_record = yield_record
        self.needs: Callable[[int, facts.Exchange], bool] | None = None
        """Says, given the pid, whether anybody needs the record of an exchange; while None, all are made."""
        self.keep_query = keep_query
        self.keep_path = keep_path
        self.reset()

    @property
    def yield_record(self) -> Callable[[records.Record], None] | None:
        """Who gets the records; while None, none are made."""
        return self._yield

    @yield_record.setter
    def yield_record(self, yield_record: Callable[[records.Record], None] | None) -> None:
        if yield_record is not None:
            # A program that only sends spans needs none of it. Python makes it the variable `convert` of this package.
            importlib.import_module("poolscope.ledger.convert")
        self._yield = yield_record

    def reset(self) -> None:
        """Start again, as a forked child must: the parent reports everything that began before."""
        self.pid = os.getpid()
        self.epoch = FACTS.epoch
        self.hooks_disabled: list[str] = []
        self.hook_failures = 0
        self.clients = self.connections = self.requests = 0
        """Sums: clients built, connections opened, exchanges over."""
        self.since = Since.now()
        """The newest ids when we began: we report what has higher ones."""
        self._pools_of: dict[int, list[int]] = {}
        self._older: set[int] = set()
        """Connections that were open before poolscope began, and were reported at their first use."""
        self._closing: dict[int, facts.Connection] = {}
        """Closed connections with an exchange that is not over."""
        self._in_progress: dict[int, facts.State] = {}
        """The last reported state of exchanges in progress."""

    def __repr__(self) -> str:
        return f"<Ledger of {self.connections} connections and {self.requests} exchanges over, {LIVE!r}>"

    def consume(self, moment: facts.Moment, sheet: facts.Sheet) -> None:
        """Take one fact, in queue order."""
        if isinstance(sheet, facts.Exchange):
            self._exchange(sheet)
        elif isinstance(sheet, facts.Connection):
            self._connection(moment, sheet)
        elif isinstance(sheet, facts.Client):
            self._client(moment, sheet)
        elif isinstance(sheet, facts.Pool):
            self._pool(sheet)
        else:
            self._failure(sheet)

    def _client(self, moment: facts.Moment, sheet: facts.Client) -> None:
        if moment == facts.BEGUN:
            self.clients += 1
        else:
            LIVE.clients.pop(sheet.id, None)
            for pool in self._pools_of.pop(sheet.id, ()):
                LIVE.pools.pop(pool, None)
            LIVE.bound()
        if self._yield is not None:
            # The sheet may be ahead of the moment: a record of the beginning must not contain the end.
            self._yield(convert.client(sheet, self.pid, over=moment == facts.ENDED))

    def _pool(self, sheet: facts.Pool) -> None:
        LIVE.pools.setdefault(sheet.id, sheet)
        if sheet.client is not None:
            self._pools_of.setdefault(sheet.client, []).append(sheet.id)
        else:
            LIVE.bound()
        if self._yield is not None:
            self._yield(convert.pool(sheet, self.pid))

    def _connection(self, moment: facts.Moment, sheet: facts.Connection) -> None:
        if moment == facts.OPENED:
            self.connections += sheet.opened_at is not None
            self._tell(sheet, over=False)
        elif moment == facts.ENDED and self._is_awaited(sheet):
            self._closing[sheet.id] = sheet
        elif moment == facts.ENDED:
            self._connection_ended(sheet)

    def _is_awaited(self, sheet: facts.Connection) -> bool:
        """Whether an exchange on a closed connection is not over; a forked child knows nothing of its parent's."""
        if sheet.epoch != FACTS.epoch:
            sheet.unsettled.intersection_update(list(LIVE.exchanges))
        return bool(sheet.unsettled)

    def _tell(self, sheet: facts.Connection, over: bool) -> None:
        if self._yield is not None:
            self._yield(convert.connection(sheet, self.pid, self.epoch, over))

    def _connection_ended(self, sheet: facts.Connection) -> None:
        LIVE.connections.pop(sheet.id, None)
        self._older.discard(sheet.id)
        self._closing.pop(sheet.id, None)
        self._tell(sheet, over=True)

    def _exchange(self, sheet: facts.Exchange) -> None:
        if sheet.epoch != FACTS.epoch:
            return  # a forked child reads the answer to its parent's request; the parent reports it
        number = sheet.id
        LIVE.exchanges.pop(number, None)
        sheet._peers.pop(number, None)
        if self._in_progress:
            self._in_progress.pop(number, None)
        connection = sheet.connection
        if connection is not None:
            connection.unsettled.discard(number)
        if number > LIVE.since:  # else there was a gap in it, and its connection has another sheet now
            self.requests += 1
            if connection is not None and (
                connection.id not in LIVE.connections or connection.id <= self.since.connection
            ):
                self._tell_older(connection)
            if self._yield is not None and (self.needs is None or self.needs(self.pid, sheet)):
                self._yield(convert.exchange(sheet, self.pid, self.keep_query, keep_path=self.keep_path))
        if self._closing:
            self._settle(sheet)

    def _tell_older(self, connection: facts.Connection) -> None:
        """Report a connection that was open before we began, when it is first used."""
        if connection.closed_at is None and connection.id not in self._older:
            self._older.add(connection.id)
            LIVE.connections.setdefault(connection.id, connection)
            self._tell(connection, over=False)

    def _settle(self, sheet: facts.Exchange) -> None:
        """Report the closes that waited for ``sheet``'s end."""
        connection = sheet.connection
        # The closes of connections that it lost on its way did not wait for it.
        waiting = list(self._closing.values()) if sheet.failed_attempts else [connection]
        for closing in waiting:
            if closing is not None and not closing.unsettled and closing.id in self._closing:
                self._connection_ended(closing)

    def _failure(self, sheet: facts.HookFailure) -> None:
        self.hook_failures += 1
        if sheet.disabled and sheet.hook not in self.hooks_disabled:
            self.hooks_disabled.append(sheet.hook)

    def tell_progress(self, at: float, longer_than: float, *, last: bool = False) -> None:
        """Yield the exchanges in progress since ``longer_than`` seconds before ``at``, each state of each once.

        The ``last`` time all of them, as open at the end.
        """
        if self._yield is None:
            return
        for sheet in list(LIVE.exchanges.values()):
            if sheet.id <= self.since.exchange or at - sheet.started_at < longer_than:
                continue
            state = state_of(sheet)
            if last or self._in_progress.get(sheet.id) != state:
                self._in_progress[sheet.id] = state
                if state == "waiting" and sheet.queued and at - sheet.started_at >= LONG_WAIT:
                    LIVE.look_for_holders(sheet, at)
                record = convert.exchange(sheet, self.pid, self.keep_query, state, keep_path=self.keep_path)
                record.open_at_exit = last
                self._yield(record)

    def close(self, at: float | None = None) -> None:
        """Yield what is in progress, the closes that wait for it, what is open and clients never closed."""
        if self._yield is None:
            return
        self.tell_progress(facts.now() if at is None else at, 0.0, last=True)
        for connection in list(self._closing.values()):
            self._connection_ended(connection)
        for connection in list(LIVE.connections.values()):
            if connection.id > self.since.connection and connection.failed_phase is None:
                self._tell(connection, over=False)
        for client in list(LIVE.clients.values()):
            if client.id > self.since.client:
                record = convert.client(client, self.pid)
                record.close_kind = "open_at_exit"
                self._yield(record)

    def snapshot(self) -> Snapshot:
        """What is live right now. Call it with the queue drained and no drain under way."""
        from poolscope.ledger.snapshot import Snapshot

        return Snapshot.of(self.pid, self.since)

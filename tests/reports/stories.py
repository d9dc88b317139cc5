"""Streams of records written by hand, with a clock that moves only on request."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

from poolscope.records import (
    CallSite,
    Client,
    Connection,
    Exchange,
    Header,
    Phase,
    PhaseName,
    Pool,
    Record,
    Summary,
)

ORIGIN = "http://api.test"
LINE = CallSite("/srv/.../app/load.py", 12, "fetch")


@dataclass
class Story:
    """What a process did; `records` is the stream that it would have written."""

    pid: int = 100
    now: float = 0.0
    records: list[Record] = field(default_factory=list)
    ids: Any = field(default_factory=lambda: itertools.count(1))

    def header(self, **changes: Any) -> None:
        known: dict[str, Any] = {
            "wall_at_zero": 1e9, "started_at": self.now,
            "program": "load.py", "libraries": {"requests": "2.34.2"},
        }  # fmt: skip
        self.records.append(Header(self.pid, 1, "0.1.0", "3.11.9", **{**known, **changes}))

    def summary(self, **changes: Any) -> None:
        known: dict[str, Any] = {"exit_code": 0, "requests": 0, "connections": 0, "clients": 0}
        self.records.append(Summary(self.pid, self.now, self.now, **{**known, **changes}))

    def client(self, kind: str = "httpx.Client", built_in: float = 0.01, **changes: Any) -> Client:
        known: dict[str, Any] = {"call_site": LINE, "sdk_call_site": None, "loop": None, "settings": 1}
        client = Client(self.pid, next(self.ids), kind, self.now, built_in, **{**known, **changes})
        self.now += built_in
        self.records.append(client)
        return client

    def pool(self, client: Client, keepalive: float | None = None, most: int | None = 10) -> Pool:
        pool = Pool(self.pid, next(self.ids), client.id, most, 10, keepalive, None)
        self.records.append(pool)
        return pool

    def connect(
        self,
        client: Client | None,
        origin: str = ORIGIN,
        *,
        connect: float = 0.01,
        tls: float = 0.0,
        **changes: Any,
    ) -> Connection:
        setup = {"connect": Phase(self.now, connect), "total": Phase(self.now, connect + tls)}
        if tls:
            setup["tls"] = Phase(self.now + connect, tls)
        connection = Connection(
            self.pid,
            next(self.ids),
            client.id if client else None,
            None,
            origin,
            "direct",
            setup_started_at=self.now,
            opened_at=self.now + connect + tls,
            setup=setup,
        )
        connection = replace(connection, **changes)
        self.now += connect + tls
        self.records.append(connection)
        return connection

    def exchange(
        self, client: Client | None, connection: Connection | None, took: float = 0.01, **changes: Any
    ) -> Exchange:
        number = None
        if connection is not None:
            connection.requests += 1
            number = connection.requests
        started = self.now
        self.now += took
        exchange = Exchange(
            self.pid,
            next(self.ids),
            connection.id if connection else None,
            client.id if client else None,
            None,
            connection.origin if connection else ORIGIN,
            "GET",
            f"{ORIGIN}/",
            request_number=number,
            reused=None if number is None else number > 1,
            started_at=started,
            finished_at=self.now,
            status=200,
            body_complete=True,
            in_flight=1,
        )
        exchange = replace(exchange, **changes)
        self.records.append(exchange)
        return exchange

    def disconnect(self, connection: Connection, reason: str = "client_close", **changes: Any) -> None:
        known: dict[str, Any] = {"closed_at": self.now, "close_reason": reason, "closed_by": "client"}
        self.records.append(replace(connection, **{**known, **changes}))

    def close(self, client: Client, requests: int = 1, **changes: Any) -> None:
        known: dict[str, Any] = {"closed_at": self.now, "close_kind": "close", "requests": requests}
        self.records.append(replace(client, **{**known, **changes}))

    def throwaway(
        self,
        *,
        requests: int = 1,
        origin: str = ORIGIN,
        reason: str = "client_close",
        keepalive: float | None = None,
        close_time: float | None = 0.005,
        exchange: dict[str, Any] | None = None,
        **client_changes: Any,
    ) -> None:
        """A client that is built, used for a few requests on one connection, and closed."""
        client = self.client(**client_changes)
        self.pool(client, keepalive)
        connection = self.connect(client, origin)
        for _ in range(requests):
            self.records.append(replace(self._taken_back(client, connection), **(exchange or {})))
        self.disconnect(connection, reason, close_time=close_time)
        self.now += close_time or 0.0
        self.close(client, requests)

    def _taken_back(self, client: Client, connection: Connection) -> Exchange:
        exchange = self.exchange(client, connection)
        self.records.pop()
        return exchange

    def failure(
        self, client: Client, phase: PhaseName = "connect", error: str = "httpx.ConnectError"
    ) -> None:
        """A request without a connection, because the setup failed."""
        failed = Connection(
            self.pid,
            next(self.ids),
            client.id,
            None,
            ORIGIN,
            "direct",
            setup_started_at=self.now,
            setup={phase: Phase(self.now, 0.02), "total": Phase(self.now, 0.02)},
            failed_phase=phase,
            closed_at=self.now + 0.02,
            error=error,
        )
        self.records.append(failed)
        self.exchange(client, None, took=0.02, status=None, error=error, body_complete=None)

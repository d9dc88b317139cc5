"""What each route of a server spends on connections: sums over its served requests that sent requests themselves."""

from __future__ import annotations

from typing import Final

from poolscope.findings.known import Bounded, Key
from poolscope.records import Connection, Exchange

ROUTES: Final = 1_000
PENDING: Final = 10_000
"""Setups that are remembered until their request is over."""
OTHER: Final = "other"


class RouteSums:
    """Sums of one route."""

    __slots__ = ("kept", "opened", "requests", "reused", "route", "served", "setup", "took", "waited")

    def __init__(self, route: str) -> None:
        self.route = route
        self.served = 0
        """Served requests that sent at least one request."""
        self.requests = 0
        self.kept = 0
        self.reused = 0
        self.opened = 0
        self.setup = 0.0
        self.waited = 0.0
        self.took = 0.0
        """Seconds of all requests sent."""

    def __repr__(self) -> str:
        return f"<RouteSums {self.route}: {self.served} served, {self.opened} opened>"

    def add(self, exchange: Exchange, setup: float) -> None:
        """Count a finished request and its setup."""
        self.served += exchange.served_call == 1
        self.requests += 1
        self.setup += setup
        self.waited += exchange.pool_wait or 0.0
        if exchange.started_at is not None and exchange.finished_at is not None:
            self.took += exchange.finished_at - exchange.started_at
        if exchange.reused is not None:
            self.kept += 1
            self.reused += exchange.reused
            self.opened += not exchange.reused and not exchange.joined


class Routes:
    """Feed it connections and exchanges, in order."""

    def __init__(self) -> None:
        self._sums: dict[str, RouteSums] = {}
        self._setups: Bounded[Key, float] = Bounded(PENDING)

    def __repr__(self) -> str:
        return f"<Routes {list(self._sums)}>"

    def connection(self, record: Connection) -> None:
        """Remember the duration of a setup for its request."""
        total = record.setup.get("total")
        if record.opened_by is None or total is None or (record.closed_at and record.failed_phase is None):
            return
        self._setups.put((record.pid, record.opened_by), total.duration)

    def exchange(self, record: Exchange) -> None:
        """A request is over."""
        setup = self._setups.pop((record.pid, record.id), 0.0)
        if record.route is None:
            return
        route = record.route if record.route in self._sums or len(self._sums) < ROUTES else OTHER
        self._sums.setdefault(route, RouteSums(route)).add(record, setup)

    def all(self) -> list[RouteSums]:
        """The sums, the route with the most setup first."""
        return sorted(self._sums.values(), key=lambda sums: (-sums.setup, -sums.requests, sums.route))

"""Watches each test like a separate run, and so the whole session.

A habit of one test is a habit of the program. What only several tests together show may be the tests' doing: each of
them builds what a program builds once.
"""

from __future__ import annotations

import gc
from typing import Any, Final

import pytest

from poolscope.instrumentor import INSTRUMENTOR
from poolscope.ledger import Ledger
from poolscope.queue import FACTS
from poolscope.records import Client, Connection, Exchange, Pool, Record
from poolscope.reports.overview import Overview
from poolscope.under_pytest.shown import Key, shown_in

ATTRIBUTE: Final = "poolscope"
"""The attribute of a test's report, and of a worker's output, with the findings."""
LIVE: Final = 10_000
"""How many clients and connections of earlier tests a later test still knows."""


class _Live:
    """Clients, their pools and connections, as long as they are open."""

    def __init__(self) -> None:
        self._clients: dict[int, list[Client | Pool]] = {}
        self._connections: dict[int, Connection] = {}

    def __repr__(self) -> str:
        return f"<_Live {len(self._clients)} clients, {len(self._connections)} connections>"

    def add(self, record: Record) -> None:
        """Follow what begins and ends."""
        if isinstance(record, Client):
            _follow(self._clients, record.id, [record], over=record.close_kind is not None)
        elif isinstance(record, Pool) and record.client in self._clients:
            self._clients[record.client].append(record)
        elif isinstance(record, Connection):
            _follow(self._connections, record.id, record, over=record.closed_at is not None)

    def behind(self, record: Record) -> list[Client | Pool | Connection]:
        """The earlier records that a record refers to."""
        if not isinstance(record, Connection | Exchange):
            return []
        known: list[Client | Pool | Connection] = [*self._clients.get(record.client or 0, ())]
        connection = self._connections.get(record.connection or 0) if isinstance(record, Exchange) else None
        return known if connection is None else [*known, connection]


def _follow(live: dict[int, Any], number: int, value: Any, *, over: bool) -> None:
    if over:
        live.pop(number, None)
    elif number not in live and len(live) < LIVE:
        live[number] = value


class _Test:
    """What one test did; nothing is made for a test that sends no request."""

    def __init__(self) -> None:
        self._overview: Overview | None = None
        self._known: set[tuple[type, int]] = set()
        self._open = 0

    def __repr__(self) -> str:
        return f"<_Test {self._overview!r}>"

    def add(self, record: Record, live: _Live) -> None:
        """Take in a record, after the records that it refers to."""
        if self._overview is None:
            self._overview = Overview()
        for older in live.behind(record):
            if self._is_new(older):
                self._overview.know(older)
        self._is_new(record)
        self._overview.add(record)
        if isinstance(record, Client):
            self._open += -1 if record.close_kind is not None else 1

    def _is_new(self, record: Record) -> bool:
        if not isinstance(record, Client | Pool | Connection):
            return False
        key = (type(record), record.id)
        known = key in self._known
        self._known.add(key)
        return not known

    @property
    def leaves_clients(self) -> bool:
        """Whether it built clients that are not closed: they may be garbage."""
        return self._open > 0

    def shown(self, name: str) -> list[dict[str, Any]]:
        """Its findings, ready to travel."""
        return [] if self._overview is None else [one.to_plain() for one in shown_in(self._overview, name)]


class Watcher:
    """The plugin of a process that runs tests."""

    def __init__(self) -> None:
        self._ledger = Ledger(self._take)
        self._live = _Live()
        self._session = Overview()
        self._test = _Test()
        self._shown: set[Key] = set()

    def __repr__(self) -> str:
        return f"<Watcher {self._session!r}>"

    def _take(self, record: Record) -> None:
        self._test.add(record, self._live)
        self._live.add(record)
        self._session.add(record)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """The hooks go in before anything is collected: test files build clients, too."""
        FACTS.settle()
        INSTRUMENTOR.hold(self)
        FACTS.add_consumer(self._ledger.consume)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """Facts that are still in the queue belong to an earlier test."""
        FACTS.settle()
        self._test = _Test()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        """The report of a test's end says what it showed."""
        report = yield
        if call.when == "teardown":
            FACTS.settle()
            if self._test.leaves_clients:
                gc.collect()
                FACTS.settle()
            shown = self._test.shown(item.nodeid)
            self._shown.update(_keys(shown))
            setattr(report, ATTRIBUTE, shown)
        return report

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send the reporting process what no single test showed, and the reached lines."""
        FACTS.settle()
        FACTS.remove_consumer(self._ledger.consume)
        self._ledger.close()
        result = self.output()
        INSTRUMENTOR.release(self)
        worker: Any = session.config
        if hasattr(worker, "workeroutput"):
            worker.workeroutput[ATTRIBUTE] = result
        else:
            session.config.stash[OUTPUT] = result

    def output(self) -> dict[str, Any]:
        """All of that as plain values."""
        from poolscope.gate.blind_spots import blind_spots

        return {
            "shown": [one.to_plain() for one in shown_in(self._session, None, self._shown)],
            "lines": [(site.file, site.line, site.function) for site in self._session.lines],
            "blind": blind_spots(),
            "dropped": FACTS.dropped,
        }


OUTPUT: Final = pytest.StashKey[dict[str, Any]]()


def _keys(shown: list[dict[str, Any]]) -> set[Key]:
    from poolscope.under_pytest.shown import Shown

    return {Shown.from_plain(plain).key for plain in shown}

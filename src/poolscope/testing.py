"""For tests: capture what a block of code did to its connections, as plain typed records.

with poolscope.testing.capture() as captured:
    fetch_everything()
captured.assert_budget(max_connections=1)
"""

from __future__ import annotations

import gc
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from poolscope import records
from poolscope.facts import now
from poolscope.instrumentor import INSTRUMENTOR
from poolscope.ledger import Ledger
from poolscope.queue import FACTS

if TYPE_CHECKING:
    from poolscope.budget import Budget

__all__ = ["Capture", "budget", "capture"]

COLUMNS: Final = 72
"""Width of lanes in the messages of assertions, which pytest indents."""


class Capture:
    """What happened in the block; everything is settled when it ends.

    Anything that is still open then is listed in its state at the end of the block.
    """

    def __init__(self, keep_query: bool = False, keep_path: bool = False) -> None:
        self._clients: dict[int, records.Client] = {}
        self._pools: dict[int, records.Pool] = {}
        self._connections: dict[int, records.Connection] = {}
        self.exchanges: list[records.Exchange] = []
        """Finished exchanges, in the order in which they finished."""
        self.findings: list[records.Finding] = []
        self.ledger = Ledger(self._take, keep_query, keep_path)
        self._stream: list[records.Record] = []
        self._began = 0.0

    def __repr__(self) -> str:
        return (
            f"<Capture {len(self._clients)} clients, {len(self._connections)} connections, "
            f"{len(self.exchanges)} exchanges, {len(self.findings)} findings>"
        )

    @property
    def clients(self) -> list[records.Client]:
        """Clients, in the order in which they were built."""
        return list(self._clients.values())

    @property
    def pools(self) -> list[records.Pool]:
        """Pools, in the order in which they were first used."""
        return list(self._pools.values())

    @property
    def connections(self) -> list[records.Connection]:
        """Connections that were opened, or failed to open, in that order."""
        return list(self._connections.values())

    def opened(self) -> list[records.Connection]:
        """Connections that became usable in the block."""
        return [
            one
            for one in self._connections.values()
            if one.opened_at is not None and one.opened_at >= self._began
        ]

    def cost(self) -> float:
        """Seconds of building clients, setting up and closing connections, summed over all threads and tasks."""
        cost = sum(client.construction_time or 0.0 for client in self._clients.values())
        for connection in self._connections.values():
            if (connection.setup_started_at or 0.0) >= self._began and "total" in connection.setup:
                cost += connection.setup["total"].duration
            cost += connection.close_time or 0.0
        return cost

    def report(self, columns: int = 100) -> str:
        """The report as text, as ``poolscope run`` prints it."""
        from poolscope.reports import overview, text

        return text.render(overview.of(self._stream), columns)

    def excerpt(self, columns: int = COLUMNS) -> str:
        """The connections as lanes, and the findings, for failing assertions."""
        from poolscope.reports import overview, text

        return text.excerpt(overview.of(self._stream), columns)

    def assert_budget(
        self,
        *,
        max_connections: int | None = None,
        min_reuse: float | None = None,
        max_cost: float | None = None,
    ) -> None:
        """Raise AssertionError with the lines and the lanes if the block used more than this."""
        __tracebackhide__ = True
        from poolscope.budget import Budget

        values = {"max_connections": max_connections, "min_reuse": min_reuse, "max_cost": max_cost}
        text = self.over(Budget.parse(values, "assert_budget"))
        if text is not None:
            raise AssertionError(text)

    def assert_no_findings(self, *codes: str) -> None:
        """Raise AssertionError with the lines, the lanes and the fix if there are findings (of these codes)."""
        __tracebackhide__ = True
        from poolscope.gate.codes import code

        wanted = [code(name, "assert_no_findings") for name in codes]
        found = [finding for finding in self.findings if not wanted or finding.code in wanted]
        if found:
            titles = ", ".join(dict.fromkeys(f"{finding.code} {finding.title}" for finding in found))
            raise AssertionError(f"{titles}\n\n{self.excerpt()}")

    def over(self, budget: Budget, columns: int = COLUMNS) -> str | None:
        """The message, with lanes, if the block exceeded the budget; else None."""
        from poolscope.gate.blind_spots import blind_spots

        self.settle()
        broken = budget.broken(self)
        blind = [] if self.exchanges else blind_spots()
        if not broken and not blind:
            return None
        lanes = [] if not self.exchanges else ["", self.excerpt(columns)]
        return "\n".join([*broken, *blind, *lanes])

    def _take(self, record: records.Record) -> None:
        self._stream.append(record)
        if isinstance(record, records.Exchange):
            self.exchanges.append(record)
        elif isinstance(record, records.Connection):
            self._connections[record.id] = record
        elif isinstance(record, records.Client):
            self._clients[record.id] = record
        elif isinstance(record, records.Pool):
            self._pools[record.id] = record

    def __enter__(self) -> Self:
        FACTS.settle()
        self._began = now()
        INSTRUMENTOR.hold(self)
        FACTS.add_consumer(self.ledger.consume)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        from poolscope.findings import find

        self.settle()
        FACTS.remove_consumer(self.ledger.consume)
        self.ledger.close()
        INSTRUMENTOR.release(self)
        self.findings = find(self._stream)

    def settle(self) -> None:
        """Bring the lists up to date in the middle of the block; collects garbage for dropped responses."""
        gc.collect()
        FACTS.settle()


def capture(keep_query: bool = False, keep_path: bool = False) -> Capture:
    """A context manager that instruments the process for a block and lists what happened in it."""
    return Capture(keep_query, keep_path)


class Budgeted(Capture):
    """A block with a budget."""

    def __init__(self, budget: Budget) -> None:
        super().__init__()
        self.budget = budget

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        super().__exit__(kind, error, traceback)
        text = self.over(self.budget) if kind is None else None
        if text is not None:
            raise AssertionError(text)


def budget(**limits: float | None) -> Budgeted:
    """A context manager that sets a budget for its block: ``max_connections=1, min_reuse=0.9, max_cost=0.05``.

    It raises AssertionError with the lines and the lanes if the block used more.
    """
    from poolscope.budget import Budget

    return Budgeted(Budget.parse(limits, "budget"))

"""For tests: capture what a block of code did to its connections, as plain typed records.

with poolscope.testing.capture() as captured:
    fetch_everything()
assert len(captured.connections) == 1
"""

from __future__ import annotations

import gc
from types import TracebackType
from typing import Self

from poolscope import records
from poolscope.instrumentor import INSTRUMENTOR
from poolscope.ledger import Ledger
from poolscope.queue import FACTS

__all__ = ["Capture", "capture"]


class Capture:
    """What happened in the block; everything is settled when it ends.

    A thing that is still open then is listed as it stood at the end of the block.
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
        """Connections that were opened or whose setup failed, in that order."""
        return list(self._connections.values())

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
        INSTRUMENTOR.hold(self)
        FACTS.add_consumer(self.ledger.consume)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.settle()
        FACTS.remove_consumer(self.ledger.consume)
        self.ledger.close()
        INSTRUMENTOR.release(self)
        self._find()

    def settle(self) -> None:
        """Bring the lists up to date in the middle of the block; collects garbage for dropped responses."""
        gc.collect()
        FACTS.settle()

    def _find(self) -> None:
        from poolscope.findings import find

        self.findings = find(self._stream)


def capture(keep_query: bool = False, keep_path: bool = False) -> Capture:
    """A context manager that instruments the process for a block and lists what happened in it."""
    return Capture(keep_query, keep_path)
